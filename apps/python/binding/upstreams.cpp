#include "apps/python/binding/upstreams.hpp"

#include <fmt/format.h>

#include <utility>

#include "engine/core/array_upstream.hpp"
#include "engine/core/errors.hpp"
#include "engine/core/factor_product.hpp"

namespace gramtile::python {
namespace {

namespace nb = nanobind;

class Factors : public MatrixSource {
 public:
  Factors(const MatrixView& u, const MatrixView& v) : u_(u), v_(v), rank_(u.num_columns) {}

  Index num_rows() const override { return u_.num_rows(); }
  Index num_columns() const override { return v_.num_rows(); }

  void read(Range rows, Range columns, std::span<double> values) const override {
    std::vector<double> u(as_size(rows.size() * rank_)), v(as_size(columns.size() * rank_));
    u_.read(rows, {0, rank_}, u);
    v_.read(columns, {0, rank_}, v);
    multiply_factors(u, v, rows.size(), columns.size(), values);
  }

 private:
  ArrayUpstream u_, v_;
  Index rank_;
};

class Function : public MatrixSource {
 public:
  Function(nb::object function, Index num_rows, Index num_columns)
      : function_(std::move(function)), num_rows_(num_rows), num_columns_(num_columns) {}
  ~Function() override {
    const nb::gil_scoped_acquire acquired;
    function_.reset();
  }
  Function(const Function&) = delete;
  Function& operator=(const Function&) = delete;

  Index num_rows() const override { return num_rows_; }
  Index num_columns() const override { return num_columns_; }

  void read(Range rows, Range columns, std::span<double> values) const override {
    const nb::gil_scoped_acquire acquired;
    const nb::object given =
        function_(nb::slice(nb::int_(rows.start), nb::int_(rows.stop), nb::none()),
                  nb::slice(nb::int_(columns.start), nb::int_(columns.stop), nb::none()));
    const nb::object array =
        nb::module_::import_("numpy").attr("asarray")(given, nb::arg("dtype") = "float64");
    const MatrixView view = matrix_of(nb::cast<ReadOnlyArray>(array));
    if (view.num_rows != rows.size() || view.num_columns != columns.size()) {
      throw Error(ErrorKind::kUsage,
                  fmt::format("the function gave an array of shape [{}, {}] for the tile "
                              "[{}:{}, {}:{}] of the upstream",
                              view.num_rows, view.num_columns, rows.start, rows.stop, columns.start,
                              columns.stop));
    }
    ArrayUpstream(view).read({0, rows.size()}, {0, columns.size()}, values);
  }

 private:
  nb::object function_;
  Index num_rows_, num_columns_;
};

MatrixView keep(const nb::handle& array, std::vector<ReadOnlyArray>& arrays) {
  return matrix_of(arrays.emplace_back(nb::cast<ReadOnlyArray>(array)));
}

std::unique_ptr<MatrixSource> factors(const MatrixView& u, const MatrixView& v) {
  if (u.num_columns != v.num_columns) {
    throw Error(ErrorKind::kUsage,
                fmt::format("the factors have {} and {} columns; U [N, r] and V [M, r] have as "
                            "many",
                            u.num_columns, v.num_columns));
  }
  return std::make_unique<Factors>(u, v);
}

}  // namespace

std::unique_ptr<MatrixSource> caller_upstream(const nb::object& given, Index num_rows,
                                              Index num_columns,
                                              std::vector<ReadOnlyArray>& arrays) {
  if (nb::isinstance<nb::tuple>(given)) {
    const nb::object u = given[0], v = given[1];
    const MatrixView u_view = keep(u, arrays), v_view = keep(v, arrays);
    return factors(u_view, v_view);
  }
  if (PyCallable_Check(given.ptr()) != 0)
    return std::make_unique<Function>(given, num_rows, num_columns);
  return std::make_unique<ArrayUpstream>(keep(given, arrays));
}

}  // namespace gramtile::python
