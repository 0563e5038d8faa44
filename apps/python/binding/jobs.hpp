// Runs with files at their end, as Python asks for them: what kernel-build, kernel-grad,
// kernel-predict, kernel-train and kernel-verify do, without their command lines.
#pragma once

#include <nanobind/nanobind.h>

namespace gramtile::python {

/// Adds run_job, run_prediction, run_training and verify to the module. Requests are dicts of plain
/// values, which gramtile/_files.py makes.
void bind_jobs(nanobind::module_& module);

}  // namespace gramtile::python
