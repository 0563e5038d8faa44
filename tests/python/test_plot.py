"""Pictures: what they show is what the file holds, sorted and averaged as it is said; axes are named."""

import shutil
import unittest

import h5py
import numpy as np

import gramtile as gt
from support import FolderTest, images

try:
    import matplotlib
    matplotlib.use("Agg")
    import matplotlib.pyplot as plt
except ImportError:
    raise unittest.SkipTest("skipped: no matplotlib")

import gramtile.plot as gt_plot

NET = gt.Sequential(gt.Conv2d(3, var_weight=2.0, var_bias=0.1), gt.ReLU(), gt.Dense())


def shown(ax):
    return np.ma.filled(ax.images[0].get_array(), np.nan)


class PlotTest(FolderTest):
    def setUp(self):
        super().setUp()
        self.addCleanup(plt.close, "all")
        rng = np.random.default_rng(5)
        self.x, self.z = np.abs(images(1, 90, (1, 8, 8))), np.abs(images(2, 30, (1, 8, 8)))
        self.labels, self.test_labels = rng.integers(0, 4, 90), rng.integers(0, 4, 30)
        self.file = gt.build(NET, train=(self.x, self.labels), test=(self.z, self.test_labels), out=self.dir / "k.h5",
                             dtype="float64", tile=32, progress=False)
        self.addCleanup(self.file.close)
        self.k = self.file.Kxx[...]

    def test_a_kernel_is_drawn_as_it_is_in_the_order_of_the_images(self):
        for source in (self.file, self.file.path, self.k):
            ax = gt_plot.kernel(source)
            np.testing.assert_array_equal(shown(ax), self.k)
        np.testing.assert_array_equal(shown(gt_plot.kernel(self.file, matrix="Kxtx")), self.file.Kxtx[...])

    def test_sorted_by_label_classes_stand_side_by_side_and_are_named(self):
        ax = gt_plot.kernel(self.file, sort_by="label")
        order = np.argsort(self.labels, kind="stable")
        np.testing.assert_array_equal(shown(ax), self.k[np.ix_(order, order)])
        self.assertEqual([t.get_text() for t in ax.get_xticklabels()], ["0", "1", "2", "3"])
        self.assertEqual((ax.get_xlabel(), ax.get_ylabel()), ("training images, by label",) * 2)
        cross = gt_plot.kernel(self.file, matrix="Kxtx", sort_by="label", normalised=True)
        rows = np.argsort(self.test_labels, kind="stable")
        np.testing.assert_array_equal(shown(cross), self.file.normalised("Kxtx")[...][np.ix_(rows, order)])
        self.assertEqual(cross.get_ylabel(), "test images, by label")
        self.assertEqual(cross.figure.axes[1].get_ylabel(), "correlation of x and x′")
        np.testing.assert_array_equal(shown(gt_plot.kernel(self.k, sort_by="label", labels=self.labels)), shown(ax))

    def test_large_kernels_are_averaged(self):
        ax = gt_plot.kernel(self.file, sort_by="label", size=30)
        order = np.argsort(self.labels, kind="stable")
        means = self.k[np.ix_(order, order)].reshape(30, 3, 30, 3).mean((1, 3))
        np.testing.assert_allclose(shown(ax), means, rtol=1e-13)
        np.testing.assert_allclose(shown(gt_plot.kernel(self.k, size=7)).mean(), self.k.mean(), rtol=0.05)
        self.assertEqual(shown(gt_plot.kernel(self.k, size=7)).shape, (7, 7))

    def test_what_is_not_computed_is_empty(self):
        k = self.k.copy()
        k[:30, 60:] = np.nan
        picture = shown(gt_plot.kernel(k, size=30))
        self.assertTrue(np.isnan(picture[:10, 20:]).all())
        self.assertEqual(np.isnan(picture).sum(), 100)

    def test_tiles_that_a_file_has_not_got_are_empty_on_both_sides(self):
        shutil.copy(self.file.path, self.dir / "unfinished.h5")
        with h5py.File(self.dir / "unfinished.h5", "r+") as f:
            f["Kxx"][:32, 64:] = f["Kxx"][64:, :32] = np.nan  # as a tile that is not written yet
        picture = shown(gt_plot.kernel(self.dir / "unfinished.h5"))
        missing = np.zeros((90, 90), bool)
        missing[:32, 64:] = missing[64:, :32] = True
        np.testing.assert_array_equal(np.isnan(picture), missing)
        np.testing.assert_array_equal(picture[~missing], self.k[~missing])
        with self.assertRaisesRegex(ValueError, "not computed"):
            gt_plot.spectrum(self.dir / "unfinished.h5")

    def test_a_spectrum_shows_every_eigenvalue(self):
        for source in (self.file, self.k):
            line = gt_plot.spectrum(source).lines[0]
            np.testing.assert_allclose(line.get_ydata(), np.linalg.eigvalsh(self.k)[::-1], rtol=1e-9)
        indefinite = gt_plot.spectrum(np.diag([2.0, -1.0, 1.0]))
        self.assertEqual([list(line.get_ydata()) for line in indefinite.lines], [[2.0, 1.0], [1.0]])
        self.assertEqual(list(indefinite.lines[1].get_xdata()), [3])

    def test_a_training_shows_objective_values_and_seconds(self):
        with gt.train(NET, train=(self.x, self.labels), validation=(self.z, self.test_labels), objective="loo", steps=4,
                      validate_every=2, out=self.dir / "t.h5", progress=False) as f:
            for source in (f, f.path):
                figure = gt_plot.training(source)
                top, middle, bottom = figure.axes[:3]
                np.testing.assert_array_equal(top.lines[0].get_ydata(), f.objective[...])
                point = f.point[...]
                drawn = np.array([line.get_ydata() for line in middle.lines])
                np.testing.assert_allclose(drawn, np.exp(point - point[:1]).T, rtol=1e-12)
                self.assertEqual([t.get_text() for t in middle.get_legend().get_texts()],
                                 [name.replace("log ", "") for name in f.coordinates])
                np.testing.assert_array_equal(bottom.lines[3].get_ydata(), f.seconds[:, 3])
                self.assertEqual(bottom.get_xlabel(), "step")
                self.assertEqual(list(figure.axes[3].lines[0].get_xdata()), [2, 4])

    def test_pictures_are_drawn_where_they_are_wanted(self):
        figure, axes = plt.subplots(1, 2)
        self.assertIs(gt_plot.kernel(self.k, ax=axes[0], cmap="magma"), axes[0])
        self.assertEqual(axes[0].images[0].get_cmap().name, "magma")
        self.assertIs(gt_plot.spectrum(self.k, ax=axes[1], color="black"), axes[1])
        figure.savefig(self.dir / "both.png")
        self.assertGreater((self.dir / "both.png").stat().st_size, 5000)

    def test_what_cannot_be_drawn_is_refused(self):
        for call, words in [
                (lambda: gt_plot.kernel(self.k, sort_by="label"), "no labels"),
                (lambda: gt_plot.kernel(self.k, sort_by="label", labels=self.labels[1:]), "labels have shape"),
                (lambda: gt_plot.kernel(self.k, sort_by="size"), "sort_by is 'size'"),
                (lambda: gt_plot.kernel(self.k[0]), "shape"),
                (lambda: gt_plot.kernel(self.k[:5], normalised=True), "variances"),
                (lambda: gt_plot.spectrum(self.k, most_images=50), "most_images=50"),
                (lambda: gt_plot.spectrum(self.k[:5]), "no eigenvalues"),
                (lambda: gt_plot.spectrum(self.k * np.nan), "not computed")]:
            with self.subTest(words=words), self.assertRaisesRegex(ValueError, words):
                call()


if __name__ == "__main__":
    unittest.main()
