#include "apps/common/command.hpp"

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <array>
#include <cstdio>
#include <exception>
#include <filesystem>
#include <new>
#include <string>
#include <string_view>
#include <system_error>
#include <vector>

#include "apps/common/exit_codes.hpp"
#include "apps/common/streams.hpp"
#include "engine/core/errors.hpp"
#include "engine/core/version.hpp"

namespace gramtile::apps {
namespace {

constexpr std::string_view kEnvironmentHelp =
    "Environment:\n"
    "  GRAMTILE_TARGET=AVX2   use this instruction set in place of the processor's best. Results "
    "of two\n"
    "                         sets differ in their last digits, and such shares do not merge: set "
    "it to\n"
    "                         one that all processors have for all jobs of an array.\n";

void print_error(std::string_view name, std::string_view message) {
  std::fflush(stdout);
  print(stderr, fmt::format("{}: {}\n", name, for_terminal(message)));
}

int report_bug(std::string_view name, const std::exception& error) {
  print_error(name, fmt::format("a bug, please report it: {}", error.what()));
  return kExitBug;
}

/// Bytes of the first character of `text`; 0 when it is no UTF-8, a control character (C0, DEL, C1)
/// or turns the direction of the text around it (U+202A … U+202E, U+2066 … U+2069).
std::size_t harmless_length(std::string_view text) {
  const auto byte = [&](std::size_t i) { return static_cast<unsigned char>(text[i]); };
  const unsigned first = byte(0);
  if (first < 0x80) return first >= 0x20 && first != 0x7f ? 1 : 0;
  const std::size_t length = first >= 0xf0 ? 4 : first >= 0xe0 ? 3 : 2;
  if (first < 0xc2 || first > 0xf4 || text.size() < length) return 0;
  unsigned code = first & (0x7fu >> length);
  for (std::size_t i = 1; i < length; ++i) {
    if ((byte(i) & 0xc0u) != 0x80) return 0;
    code = (code << 6) | (byte(i) & 0x3fu);
  }
  const bool overlong = (length == 3 && code < 0x800) || (length == 4 && code < 0x10000);
  const bool turns = (code >= 0x202a && code <= 0x202e) || (code >= 0x2066 && code <= 0x2069);
  return overlong || turns || code < 0xa0 || (code >= 0xd800 && code < 0xe000) ? 0 : length;
}

std::string quoted(std::string_view argument) {
  constexpr std::string_view kPlain =
      "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-+=./:,%@";
  // '#' needs no quotes inside a word, only where one begins.
  const auto is_plain = [&](char c) { return c == '#' || kPlain.find(c) != kPlain.npos; };
  if (!argument.empty() && argument.front() != '#' &&
      std::all_of(argument.begin(), argument.end(), is_plain)) {
    return std::string(argument);
  }
  std::string text = "'";
  for (const char c : argument) {
    if (c == '\'') {
      text += "'\\''";
    } else {
      text += c;
    }
  }
  return text + "'";
}

}  // namespace

void describe(CLI::App& app, std::string_view examples) {
  app.set_help_flag("-h,--help", "Print this text");
  app.set_version_flag("--version", fmt::format("{} {}", app.get_name(), kVersion),
                       "Print the version");
  app.get_formatter()->column_width(34);
  app.footer(fmt::format("\nExamples:\n{}\n{}\n{}", examples, exit_code_help(), kEnvironmentHelp));
}

std::string for_terminal(std::string_view text) {
  std::string shown;
  while (!text.empty()) {
    const std::size_t length = harmless_length(text);
    if (length > 0) {
      shown += text.substr(0, length);
    } else if (text.front() == '\n') {
      shown += ' ';
    } else {
      shown += fmt::format("\\x{:02x}", static_cast<unsigned char>(text.front()));
    }
    text.remove_prefix(std::max<std::size_t>(length, 1));
  }
  return shown;
}

bool parse(CLI::App& app, int argc, char** argv) {
  try {
    app.parse(argc, argv);
    return true;
  } catch (const CLI::CallForHelp&) {
    print(stdout, app.help());
  } catch (const CLI::CallForVersion& version) {
    print(stdout, fmt::format("{}\n", version.what()));
  } catch (const CLI::ParseError& error) {
    throw Error(ErrorKind::kUsage, fmt::format("{}; see {} --help", error.what(), app.get_name()));
  }
  return false;
}

int run_command(std::string_view name, int argc, char** argv, int (*body)(int, char**)) {
  open_standard_streams();
  ignore_write_signals();
  try {
    return body(argc, argv);
  } catch (const Error& error) {
    print_error(name, error.what());
    return exit_code(error.kind());
  } catch (const std::bad_alloc&) {
    print_error(name, "not enough memory; a smaller --memory or --tile needs less");
    return exit_code(ErrorKind::kOther);
  } catch (const std::system_error& error) {
    if (error.code() != std::errc::resource_unavailable_try_again) return report_bug(name, error);
    print_error(name,
                "no thread can be started: the limit on processes (ulimit -u, or that of a "
                "container) is reached; fewer --threads need less");
    return exit_code(ErrorKind::kOther);
  } catch (const std::exception& error) {
    return report_bug(name, error);
  }
}

std::string command_line(int argc, char** argv, std::string_view with, std::string_view without) {
  std::string text;
  bool found = with.empty();
  for (int i = 0; i < argc; ++i) {
    if (i > 0 && !without.empty() && argv[i] == without) continue;
    found = found || argv[i] == with;
    if (!text.empty()) text += ' ';
    text += quoted(argv[i]);
  }
  if (!found) text.append(" ").append(with);
  return text;
}

std::string stored_command(int argc, char** argv) {
  constexpr std::array<std::string_view, 5> kWithValue{"--out", "--threads", "--memory", "--shard",
                                                       "--work"};
  constexpr std::array<std::string_view, 5> kFlags{"--resume", "--overwrite", "--quiet",
                                                   "--no-lock", "--mixed-instruction-sets"};
  const auto is_one_of = [](const auto& names, std::string_view argument) {
    return std::find(names.begin(), names.end(), argument.substr(0, argument.find('='))) !=
           names.end();
  };
  std::string name = std::filesystem::path(argv[0]).filename();
  std::vector<char*> kept{name.data()};
  for (int i = 1; i < argc; ++i) {
    const std::string_view argument = argv[i];
    if (is_one_of(kFlags, argument)) continue;
    if (!is_one_of(kWithValue, argument)) {
      kept.push_back(argv[i]);
    } else if (argument.find('=') == argument.npos) {
      ++i;  // its value
    }
  }
  return command_line(static_cast<int>(kept.size()), kept.data());
}

}  // namespace gramtile::apps
