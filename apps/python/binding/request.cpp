#include "apps/python/binding/request.hpp"

#include <nanobind/stl/vector.h>

namespace gramtile::python {

namespace nb = nanobind;

StartMode start_mode(const nb::dict& request) {
  if (get(request, "resume", false)) return StartMode::kResume;
  return get(request, "overwrite", false) ? StartMode::kOverwrite : StartMode::kCreate;
}

DataType data_type(const nb::dict& request) {
  return get<std::string>(request, "dtype", "float32") == "float64" ? DataType::kFloat64
                                                                    : DataType::kFloat32;
}

RequestedSet::RequestedSet(const nb::dict& request, bool channels_last) {
  set_.name = get<std::string>(request, "name", "");
  const auto role = get<std::string>(request, "role", "train");
  set_.role = role == "test"         ? DatasetRole::kTest
              : role == "validation" ? DatasetRole::kValidation
                                     : DatasetRole::kTrain;
  set_.source = get<std::string>(request, "source", "");
  set_.label_source = get<std::string>(request, "label_source", "");
  set_.labels = get<std::vector<std::int64_t>>(request, "labels", {});
  if (!request.contains("images") || request["images"].is_none()) return;
  array_ = nb::cast<ReadOnlyArray>(request["images"]);
  view_ = images_of(*array_, channels_last);
}

JobSet RequestedSet::open() {
  if (view_) {
    images_.emplace(ArraySource::view(*view_));
    set_.images = &*images_;
  }
  return set_;
}

std::deque<RequestedSet> requested_sets(const nb::dict& request) {
  std::deque<RequestedSet> sets;
  for (const nb::handle set : request["sets"])
    sets.emplace_back(nb::cast<nb::dict>(set), get(request, "channels_last", false));
  return sets;
}

}  // namespace gramtile::python
