// Learns a network's variances from images and labels in memory: L-BFGS on the leave-one-out error.
#include <engine/train/trainer.hpp>
#include <functional>
#include <stop_token>
#include <vector>

struct Trained {
  std::vector<double> values;  ///< of Program::parameters
  double noise = 0;
  double first = 0, last = 0;  ///< the objective, at the start and in front of the last step
};

Trained train(const gramtile::Program& program, gramtile::BlockSource& images,
              const std::vector<std::int64_t>& labels, gramtile::Index num_steps,
              std::stop_token stop) {
  // 1. Where K and its inverse live: in memory here; make_disk_room (io/train/) has them on disk.
  const auto room = gramtile::make_memory_room({.stop = stop});
  // 2. What is made small, and how.
  gramtile::TrainingOptions options;
  options.objective = &gramtile::leave_one_out_error();
  options.optimiser = gramtile::OptimiserKind::kLbfgs;
  options.num_steps = num_steps;
  gramtile::Trainer trainer(program, {images, gramtile::one_hot(labels).targets}, {}, options,
                            *room, {.data_type = gramtile::DataType::kFloat64});
  // 3. Step by step. After any of them trainer.state() is all that another Trainer needs to go on.
  while (!trainer.state().ended) trainer.step(stop);
  const auto& records = trainer.state().records;
  return {trainer.values(), trainer.noise(), records.front().objective, records.back().objective};
}
