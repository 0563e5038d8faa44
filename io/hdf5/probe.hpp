// Inside of the HDF5 seam: a file is opened and walked in a child process first. The library
// crashes, hangs or takes gigabytes on some damaged and forged files; in the child that is an
// answer. Crashes are told by the child's end, hangs and hunger by its limits.
#pragma once

#include <chrono>
#include <string>

namespace gramtile::hdf5 {

/// With children that use no processor time: the first may sleep for so long, every other one twice
/// as long as the one before.
struct ProbePatience {
  std::chrono::milliseconds first{2'000}, last{16'000};
};

/// Walks `path` in a child: every object, attribute and chunk index, and the values at both ends of
/// every dataset that could be read here (but for compressed chunks of more than 16 MiB). Returns
/// why the file must not be opened, "" when it may (also when the library merely refuses it, which
/// it can say better itself). A file that the library has open in this process already is not
/// walked.
///
/// Limits: 5 s of processor time and 1 s more for every 100 MB of file, twice that by the clock
/// and at least 60 s, 512 MiB. A child that sleeps is given up for another one. The caller holds
/// the library's lock. Throws IoError when the system has no process left, or the last child
/// sleeps, too: the disk does not answer.
std::string probe(const std::string& path, ProbePatience patience = {});

}  // namespace gramtile::hdf5
