#include "io/job/open_upstream.hpp"

#include <fmt/format.h>

#include <utility>

#include "engine/core/errors.hpp"
#include "io/data/source_spec.hpp"
#include "io/run/read/upstream.hpp"

namespace gramtile {
namespace {

SourceSpec parse_array(const std::string& text) {
  SourceSpec spec = parse_source_spec(text);
  if (!spec.takes_everything()) {
    throw Error(ErrorKind::kUsage, fmt::format("'{}' is not FILE:/DATASET or FILE.npy", text));
  }
  return spec;
}

OpenUpstream open_matrix(const std::string& text, const MatrixSpec& shape, MemoryCharges& charges) {
  const SourceSpec array = parse_array(text);
  auto upstream = std::make_unique<MatrixUpstream>(array.path, array.dataset, shape.num_rows,
                                                   shape.num_columns);
  charges.charge(upstream->working_bytes(), fmt::format("the compressed chunks of {}", text));
  OpenUpstream open{.source = upstream.get(), .owned = nullptr, .description = text, .hash = {}};
  open.hash = upstream->check_and_hash();
  open.owned = std::move(upstream);
  return open;
}

OpenUpstream open_factors(const std::string& u_text, const std::string& v_text,
                          const TilePlan& plan, MemoryCharges& charges) {
  const MatrixSpec& shape = plan.matrices.front();
  const SourceSpec u = parse_array(u_text), v = parse_array(v_text);
  auto upstream = std::make_unique<FactorUpstream>(u.path, u.dataset, v.path, v.dataset,
                                                   shape.num_rows, shape.num_columns);
  charges.charge(upstream->working_bytes(plan.tile_size),
                 fmt::format("the rows of {} and {}; a smaller --tile needs less", u_text, v_text));
  OpenUpstream open{
      .source = upstream.get(), .owned = nullptr, .description = u_text + " " + v_text, .hash = {}};
  open.hash = upstream->check_and_hash();
  open.owned = std::move(upstream);
  return open;
}

}  // namespace

OpenUpstream open_upstream(const JobUpstream& upstream, const TilePlan& plan,
                           MemoryCharges& charges) {
  const MatrixSpec& shape = plan.matrices.front();
  if (upstream.values != nullptr) {
    if (upstream.values->num_rows() != shape.num_rows ||
        upstream.values->num_columns() != shape.num_columns)
      throw Error(ErrorKind::kUsage,
                  fmt::format("{}: has shape [{}, {}]; expected [{}, {}]", upstream.description,
                              upstream.values->num_rows(), upstream.values->num_columns(),
                              shape.num_rows, shape.num_columns));
    return {.source = upstream.values,
            .owned = nullptr,
            .description = upstream.description,
            .hash = check_and_hash(*upstream.values, upstream.description)};
  }
  if (!upstream.matrix.empty()) return open_matrix(upstream.matrix, shape, charges);
  if (upstream.factors.size() != 2)
    throw Error(ErrorKind::kUsage, "an upstream gradient has two factors, U and V");
  return open_factors(upstream.factors[0], upstream.factors[1], plan, charges);
}

}  // namespace gramtile
