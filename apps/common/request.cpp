#include "apps/common/request.hpp"

#include <cstdio>
#include <utility>

#include "apps/common/streams.hpp"
#include "io/network/network_json.hpp"

namespace gramtile::apps {

JobRequest job_request(const ComputeArguments& arguments, std::string command) {
  JobRequest request;
  request.network = load_network(arguments.network);
  request.network_name = arguments.network;
  request.data_type = arguments.data_type;
  request.tile_size = arguments.tile_size;
  request.memory_bytes = arguments.memory_bytes;
  request.num_threads = arguments.num_threads;
  request.channels_last = arguments.channels_last;
  request.out = arguments.out;
  request.mode = start_mode(arguments);
  request.shard = arguments.shard;
  request.no_lock = arguments.no_lock;
  request.mixed_instruction_sets = arguments.mixed_instruction_sets;
  request.command = std::move(command);
  request.notice = notice(arguments.quiet);
  return request;
}

std::function<void(const std::string&)> notice(bool quiet) {
  return [quiet](const std::string& text) {
    if (!quiet) print(stderr, text + "\n");
  };
}

}  // namespace gramtile::apps
