"""The scikit-learn front: its own checks of estimators, kernel-predict's numbers, searches, what is refused."""

import doctest
import os
import pickle
import unittest
import warnings

import h5py
import numpy as np

import gramtile as gt
from support import FolderTest, images

try:
    import sklearn
    from sklearn.base import clone
    from sklearn.model_selection import GridSearchCV, cross_val_score
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler
    from sklearn.utils.estimator_checks import check_estimator
except ImportError:
    raise unittest.SkipTest("skipped: no scikit-learn")

import gramtile.sklearn
from gramtile.sklearn import KernelClassifier, KernelRegressor

NET = gt.Sequential(gt.Conv2d(3, var_weight=2.0, var_bias=0.1), gt.ReLU(), gt.Dense())
DENSE = gt.Sequential(gt.Dense(1.0, 1.0), gt.ReLU(), gt.Dense(1.0, 1.0))


def digits(seed, num_images, num_classes=3):
    """Images with a bright row that tells their class, and the classes."""
    labels = np.random.default_rng(seed).integers(0, num_classes, num_images)
    x = np.abs(images(seed, num_images, (1, 8, 8)))
    x[np.arange(num_images), 0, labels] += 2
    return x, labels


def load_tests(_, tests, __):
    tests.addTests(doctest.DocTestSuite(gramtile.sklearn))
    return tests


class EstimatorTest(unittest.TestCase):
    def test_both_pass_scikit_learns_checks(self):
        for estimator in (KernelRegressor(DENSE), KernelClassifier(DENSE)):
            with self.subTest(estimator=type(estimator).__name__), warnings.catch_warnings():
                warnings.simplefilter("ignore")
                if tuple(map(int, sklearn.__version__.split(".")[:2])) < (1, 6):
                    check_estimator(estimator)
                    continue
                results = check_estimator(estimator, on_fail=None)
                self.assertEqual([r["check_name"] for r in results if r["status"] not in ("passed", "skipped")], [])
                self.assertGreater(sum(r["status"] == "passed" for r in results), 40)

    def test_estimators_can_be_cloned_set_and_pickled(self):
        model = KernelRegressor(NET, jitter_relative=0.1, memory="64MiB", n_jobs=1)
        copied = clone(model)
        self.assertEqual(copied.get_params(), model.get_params())
        copied.set_params(net="convnet-gp", jitter_relative=0.2)
        self.assertEqual((copied.net, copied.jitter_relative, model.net), ("convnet-gp", 0.2, NET))
        x, labels = digits(1, 20)
        model.fit(x, labels)
        np.testing.assert_array_equal(pickle.loads(pickle.dumps(model)).predict(x), model.predict(x))

    def test_rows_are_images_of_a_shape(self):
        x, labels = digits(1, 30)
        by_shape = KernelClassifier(NET, shape=(1, 8, 8)).fit(x.reshape(30, -1), labels)
        np.testing.assert_array_equal(by_shape.dual_coef_, KernelClassifier(NET).fit(x, labels).dual_coef_)
        np.testing.assert_array_equal(by_shape.dual_coef_, KernelClassifier(NET).fit(x[:, 0], labels).dual_coef_)
        pipeline = make_pipeline(StandardScaler(), KernelClassifier(NET, shape=(8, 8)))
        self.assertGreater(pipeline.fit(x.reshape(30, -1), labels).score(x.reshape(30, -1), labels), 0.9)

    def test_searches_go_over_networks_and_jitter(self):
        x, labels = digits(1, 60)
        deeper = gt.Sequential(gt.Conv2d(3), gt.ReLU(), gt.Conv2d(3), gt.ReLU(), gt.Dense())
        search = GridSearchCV(KernelClassifier(), {"net": [NET, deeper], "jitter_relative": [1e-4, 1e-2]}, cv=3, n_jobs=2)
        search.fit(x, labels)
        self.assertEqual(len(search.cv_results_["params"]), 4)
        self.assertGreater(search.best_score_, 0.8)
        self.assertIn(search.best_params_["net"], (NET, deeper))
        self.assertGreater(cross_val_score(KernelClassifier(NET), x, labels, cv=3).mean(), 0.8)

    def test_workers_of_a_search_do_not_take_more_threads_than_there_are(self):
        # joblib tells its workers by OMP_NUM_THREADS how many each may start.
        from joblib import Parallel, delayed
        workers = 2
        each = Parallel(n_jobs=workers)(delayed(_threads_of_a_call)() for _ in range(workers))
        self.assertLessEqual(max(each), max(1, len(os.sched_getaffinity(0)) // workers))


def _threads_of_a_call():
    from gramtile._options import num_threads
    return num_threads(None)


class NumbersTest(FolderTest):
    def test_means_deviations_and_evidence_are_those_of_kernel_predict(self):
        x, labels = digits(1, 40)
        z, _ = digits(2, 15)
        for name, array in {"x": x, "z": z, "labels": labels}.items():
            np.save(self.dir / f"{name}.npy", array)
        (self.dir / "net.json").write_text(NET.to_json())
        self.command("kernel-build", "--network", "net.json", "--train", "x.npy", "--train-labels", "labels.npy", "--test",
                     "z.npy", "--dtype", "float64", "--out", "k.h5", "--quiet")
        self.command("kernel-predict", "--kernels", "k.h5", "--jitter-relative", "0.01", "--out", "p.h5", "--quiet")
        classifier = KernelClassifier(NET, jitter_relative=0.01).fit(x, labels)
        targets = 2.0 * np.eye(3)[labels] - 1
        mean, deviation = KernelRegressor(NET, jitter_relative=0.01).fit(x, targets).predict(z, return_std=True)
        with h5py.File(self.dir / "p.h5") as file:
            # Both solve with condition numbers below 1e5 in double.
            np.testing.assert_allclose(mean, file["test_mean"][...], rtol=1e-9, atol=1e-9)
            np.testing.assert_allclose(deviation**2, file["test_variance"][...], rtol=1e-8)
            np.testing.assert_allclose(classifier.decision_function(z), file["test_mean"][...], rtol=1e-9, atol=1e-9)
            np.testing.assert_array_equal(classifier.predict(z), file["test_mean"][...].argmax(1))
            np.testing.assert_allclose(classifier.log_marginal_likelihood_, file.attrs["log_marginal_likelihood"],
                                       rtol=1e-9)
            np.testing.assert_allclose(classifier.jitter_, file.attrs["jitter"], rtol=1e-12)

    def test_two_classes_have_one_decision_and_labels_are_anything(self):
        x, labels = digits(1, 30, 2)
        names = np.array(["nought", "one"])[labels]
        model = KernelClassifier(NET).fit(x, names)
        decision = model.decision_function(x)
        self.assertEqual(decision.shape, (30,))
        np.testing.assert_array_equal(model.predict(x), names)
        np.testing.assert_array_equal(model.predict(x) == "one", decision > 0)

    def test_bytes_are_read_as_the_engine_reads_them(self):
        x = images(1, 20, (1, 8, 8), np.uint8)
        model = KernelRegressor(NET).fit(x, np.arange(20.0))
        self.assertEqual(model.X_fit_.dtype, np.uint8)
        exact = KernelRegressor(NET).fit(x / 255, np.arange(20.0))
        np.testing.assert_allclose(model.predict(x[:5]), exact.predict(x[:5] / 255), rtol=1e-3)

    def test_what_cannot_be_fitted_is_refused(self):
        x, labels = digits(1, 10)
        for model, y, error, words in [
                (KernelClassifier(NET), np.zeros(10, int), ValueError, "one class"),
                (KernelClassifier(NET), labels[:5], ValueError, "inconsistent numbers of samples"),
                (KernelRegressor(NET), labels * np.nan, ValueError, "NaN"),
                (KernelRegressor("convnet-gp"), labels, gt.NetworkError, "does not fit maps of 8×8"),
                (KernelRegressor(NET, n_jobs=0), labels, ValueError, "threads is 0")]:
            with self.subTest(words=words), self.assertRaisesRegex(error, words):
                model.fit(x, y)
        with self.assertRaisesRegex(gt.ComputationError, "not positive definite with a jitter_relative of 0.*a larger one"):
            KernelRegressor(NET, jitter_relative=0).fit(x[[0, 0, 1]], [0.0, 0, 1])


if __name__ == "__main__":
    unittest.main()
