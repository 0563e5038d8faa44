// The frame of every command: parse, run, and turn whatever ends it into one line and an exit code.
#pragma once

#include <string>
#include <string_view>

namespace CLI {
class App;
}

namespace gramtile::apps {

/// Sets --help and --version, and the footer of --help: `examples` (lines of shell) and the exit
/// codes.
void describe(CLI::App& app, std::string_view examples);

/// Parses the arguments. Prints the help or the version when asked to and returns false: the
/// command is done. Throws Error(kUsage) for arguments that do not fit.
bool parse(CLI::App& app, int argc, char** argv);

/// Text that may come from a file, for a terminal: control characters, bytes that are no UTF-8 and
/// marks that turn the direction of writing become \xNN, line ends become spaces.
std::string for_terminal(std::string_view text);

/// Calls `body` and returns its exit code. An exception becomes one line `NAME: …` on stderr and
/// the code of its kind; one that nobody planned becomes 70.
int run_command(std::string_view name, int argc, char** argv, int (*body)(int, char**));

/// The command line as a shell would take it again, quoted where needed. `without` names flags that
/// are left out (they take no value), `with` is appended when it is not there yet.
std::string command_line(int argc, char** argv, std::string_view with = {},
                         std::string_view without = {});

/// The command without what cannot change a byte of the result, as RunSpec::command has it.
std::string stored_command(int argc, char** argv);

}  // namespace gramtile::apps
