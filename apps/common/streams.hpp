// stdin, stdout and stderr, whatever state the parent left them in.
#pragma once

#include <cstdio>
#include <string_view>

namespace gramtile::apps {

/// Opens /dev/null on each of 0, 1 and 2 that is closed. First of all in a command: the next file
/// that is opened gets the number, and messages would be written into it.
void open_standard_streams();

/// A reader of the progress that went away (SIGPIPE) and a limit on the size of files (SIGXFSZ) are
/// errors of a write, and no reason to die in the middle of one.
void ignore_write_signals();

/// Writes and flushes. What cannot be written is lost: a run does not end because nobody listens.
void print(std::FILE* stream, std::string_view text);

}  // namespace gramtile::apps
