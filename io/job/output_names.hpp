// Where the result goes, looked at before any work: in the first second, not after hours.
#pragma once

#include <span>
#include <string>

#include "io/files/input_files.hpp"
#include "io/run/write/run_options.hpp"

namespace gramtile {

/// `out`, or its target when it is a link, so that the files of the run stand beside the target.
/// Throws Error(kUsage) when it is empty, Error(kCannotCreate) when it is no regular file, when it
/// exists and may be neither replaced nor continued, and when its folder is not there or cannot be
/// written. RunWriter looks again, and closer.
std::string settle_output(const std::string& out, StartMode mode);

/// Throws Error(kUsage) when an input bears one of the names that the run makes, replaces or
/// removes: OUT, OUT.partial, OUT.journal, both with .new, OUT.lock.
void refuse_inputs_as_outputs(const std::string& out, std::span<const InputFile> inputs);

/// The same for inputs by their paths; what does not exist is passed over.
void refuse_inputs_as_outputs(const std::string& out, std::span<const std::string> inputs);

}  // namespace gramtile
