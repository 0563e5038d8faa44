#include "engine/lanes/layout_memory.hpp"

namespace gramtile::layout {
namespace {

constexpr Index kSplitWidth = 24;  // NextRows

/// Tags of a row of sums: rows one after the other.
Tag sums_tag(const Window& window, Index row, Index column) {
  return {window.owner, row * window.stride() + column};
}

void finish_rows(Consumer& consumer, const Rows& rows) {
  if (consumer.next() != nullptr) consumer.next()->rows(rows);
}

class UnitWindow {
 public:
  UnitWindow(Scratch& scratch, const Window& window, Source& source, Consumer& consumer)
      : scratch_(scratch), window_(window), source_(source), consumer_(consumer) {}

  void run() {
    const Index height = window_.input.height;
    const WindowAxis& axis = window_.geometry.y;
    Index produced = window_.sums_ready ? height : 0;
    for (Index y = 0; y < window_.output.height; y += kGroupRows) {
      const Index last = y + kGroupRows + axis.kernel_size - 1 - axis.pad_low;
      const Index needed = window_.geometry.circular ? height : std::min(height, last);
      for (; produced < needed; produced += kGroupRows) produce(produced);
      group({y, std::min(kGroupRows, window_.output.height - y)});
    }
  }

 private:
  void produce(Index row) {
    const Rows rows{row, std::min(kGroupRows, window_.input.height - row)};
    window_.require_columns(scratch_);
    source_.take(rows);
    for (Index y = rows.first; y < rows.first + rows.count; ++y) {
      scratch_.sums().write(window_.sums_offset + y * window_.stride(), window_.stride(),
                            sums_tag(window_, y, 0));
    }
  }

  void group(const Rows& rows) {
    const Next* const next = consumer_.next();
    const Index width = window_.output.width;
    const Index split = next != nullptr && rows.count == kGroupRows ? next->split() : 0;
    if (split == 0) {
      sum(rows, {0, width});
      return finish_rows(consumer_, rows);
    }
    sum(rows, {0, split});
    next->first_part(rows.first);
    sum(rows, {split, width});
    next->last_part(rows.first);
  }

  void sum(const Rows& rows, const Columns& columns) {
    const Index height = window_.input.height;
    const Index first = rows.first - window_.geometry.y.pad_low;
    const Index last = first + rows.count + window_.geometry.y.kernel_size - 2;
    for (Index at = first; at <= last; ++at) {
      if (!window_.geometry.circular && (at < 0 || at >= height)) continue;
      const Index y = wrapped(at, height);
      scratch_.sums().read(window_.sums_offset + y * window_.stride() + columns.from,
                           columns.to - columns.from, sums_tag(window_, y, columns.from));
    }
    consumer_.take(rows, columns);
  }

  Scratch& scratch_;
  const Window& window_;
  Source& source_;
  Consumer& consumer_;
};

/// All rows of sums along x, for windows that go round.
void run_circular(Scratch& scratch, const Window& window, Source& source, Consumer& consumer) {
  const WindowAxis& g = window.geometry.y;
  const Index height = window.input.height, width = window.output.width;
  for (Index y = 0; y < height; ++y) {
    scratch.require_columns(window.input.width);
    source.take({y, 1});
    scratch.sums().write(window.sums_offset + y * width, width, sums_tag(window, y, 0));
  }
  for (Index oy = 0; oy < window.output.height; ++oy) {
    for (Index i = 0; i < g.kernel_size; ++i) {
      const Index y = wrapped(oy * g.stride - g.pad_low + i * g.dilation, height);
      scratch.sums().read(window.sums_offset + y * width, width, sums_tag(window, y, 0));
    }
    consumer.take({oy, 1}, {0, width});
    finish_rows(consumer, {oy, 1});
  }
}

/// A ring of rows of sums along x.
void run_general(Scratch& scratch, const Window& window, Source& source, Consumer& consumer) {
  const WindowAxis &g = window.geometry.y, &x = window.geometry.x;
  const Index height = window.input.height, width = window.output.width;
  const Index ring = std::min(g.reach() + 1, height);
  const bool between = window.geometry.num_taps() == 1 && g.dilation == 1 && x.dilation == 1;
  Index produced = 0;
  for (Index oy = 0; oy < window.output.height; ++oy) {
    const Index first = oy * g.stride - g.pad_low;
    const Index needed = std::min(height, first + g.reach() + 1);
    for (; produced < needed; ++produced) {
      if (between && produced < first) continue;
      scratch.require_columns(window.input.width);
      source.take({produced, 1});
      scratch.sums().write(window.sums_offset + produced % ring * width, width,
                           sums_tag(window, produced, 0));
    }
    for (Index i = 0; i < g.kernel_size; ++i) {
      const Index y = first + i * g.dilation;
      if (y < 0 || y >= height) continue;
      scratch.sums().read(window.sums_offset + y % ring * width, width, sums_tag(window, y, 0));
    }
    consumer.take({oy, 1}, {0, width});
    finish_rows(consumer, {oy, 1});
  }
}

void run_whole(Scratch& scratch, const Window& window, Source& source, Consumer& consumer) {
  if (window.sums_ready) {
    scratch.sums().read(window.sums_offset, 1, {window.owner, window.input.height});
  } else {
    scratch.require_columns(window.input.width);
    for (Index y = 0; y < window.input.height; ++y) source.take({y, 1});
  }
  consumer.take({0, 1}, {0, 1});
  finish_rows(consumer, {0, 1});
}

}  // namespace

void Window::require_columns(const Scratch& scratch) const {
  const WindowAxis& x = geometry.x;
  scratch.require_columns(x.pad_low + input.width + (geometry.circular ? x.pad_high : 0));
  scratch.require_columns(stride() + x.kernel_size);
}

Next::Next(Scratch& scratch, const Window& window, bool may_split)
    : scratch_(scratch), window_(window) {
  const Index width = window.input.width, middle = (width - 1) / 8 * 4;
  const bool apart = width + 2 * low() > 2 * middle + kept() && !window.geometry.circular;
  if (may_split && window.unit() && width >= kSplitWidth && apart) summed_first_ = middle;
}

void Next::start() const {
  if (window_.whole()) return scratch_.sums().write(window_.sums_offset, 1, {window_.owner, 0});
  window_.require_columns(scratch_);
}

/// The total of a whole map is tagged with the number of rows that it has.
void Next::rows(const Rows& rows) const {
  if (!window_.whole()) return sum(rows, {0, window_.stride()});
  scratch_.sums().read(window_.sums_offset, 1, {window_.owner, rows.first});
  scratch_.sums().write(window_.sums_offset, 1, {window_.owner, rows.first + rows.count});
}

void Next::sum(const Rows& rows, const Columns& columns) const {
  for (Index y = rows.first; y < rows.first + rows.count; ++y) {
    scratch_.sums().write(window_.sums_offset + y * window_.stride() + columns.from,
                          columns.to - columns.from, sums_tag(window_, y, columns.from));
  }
}

void run_window(Scratch& scratch, const Window& window, Source& source, Consumer& consumer) {
  if (window.whole()) return run_whole(scratch, window, source, consumer);
  if (!window.unit()) {
    return window.geometry.circular ? run_circular(scratch, window, source, consumer)
                                    : run_general(scratch, window, source, consumer);
  }
  UnitWindow(scratch, window, source, consumer).run();
}

void run_pixels(Scratch& scratch, const MapShape& shape, Source& source, Consumer& consumer) {
  scratch.require_columns(shape.width);
  for (Index y = 0; y < shape.height; y += kGroupRows) {
    const Rows rows{y, std::min(kGroupRows, shape.height - y)};
    source.take(rows);
    consumer.take(rows, {0, shape.width});
    finish_rows(consumer, rows);
  }
}

void hand_over(const MapShape& shape, Consumer& consumer) {
  for (Index y = 0; y < shape.height; y += kGroupRows) {
    const Rows rows{y, std::min(kGroupRows, shape.height - y)};
    consumer.take(rows, {0, shape.width});
    finish_rows(consumer, rows);
  }
}

}  // namespace gramtile::layout
