"""scikit-learn: regression and classification with a network's kernel, as estimators.

>>> import numpy as np, gramtile as gt
>>> from gramtile.sklearn import KernelClassifier
>>> net = gt.Sequential(gt.Conv2d(3, var_weight=2.0, var_bias=0.1), gt.ReLU(), gt.Dense())
>>> rng = np.random.default_rng(0)
>>> y = np.array(["dark", "light"] * 20)
>>> X = rng.random((40, 1, 8, 8)) + 0.5 * (y == "light")[:, None, None, None]
>>> KernelClassifier(net).fit(X[:30], y[:30]).score(X[30:], y[30:])
1.0

K lies in memory here, with its factor: for more images than that allows there are ``gt.build`` and ``gt.predict``.
Formulas: docs/mathematics.md §11.
"""
from __future__ import annotations

from typing import Any, Optional, Sequence, Tuple, Union

import numpy as np
import numpy.typing as npt
import scipy.linalg
from sklearn.base import BaseEstimator, ClassifierMixin, MultiOutputMixin, RegressorMixin
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_array, check_consistent_length, check_is_fitted, column_or_1d

from .errors import ComputationError
from .network import Network

try:
    from sklearn.utils.validation import validate_data
except ImportError:  # before 1.6
    def validate_data(estimator: Any, X: Any, **keywords: Any) -> Any:
        return estimator._validate_data(X, **keywords)

__all__ = ["KernelClassifier", "KernelRegressor"]

_Floats = npt.NDArray[np.float64]


class _KernelModel(BaseEstimator):  # type: ignore[misc]
    """Keywords and the solution that both estimators share."""

    def __init__(self, net: Any = "convnet-gp", *, jitter_relative: float = 1e-4,
                 shape: Optional[Sequence[int]] = None, dtype: Any = None, memory: Union[int, str, None] = None,
                 n_jobs: Optional[int] = None) -> None:
        self.net = net
        self.jitter_relative = jitter_relative
        self.shape = shape
        self.dtype = dtype
        self.memory = memory
        self.n_jobs = n_jobs

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.three_d_array = True
        return tags

    def _images(self, X: Any, reset: bool) -> Any:
        """The images as [N, C, H, W] or [N, H, W]. Rows become images of `shape`, or of as many channels of one pixel
        as there are features."""
        X = validate_data(self, X, reset=reset, dtype=[np.float64, np.float32, np.uint8], allow_nd=True)
        if X.ndim != 2:
            return X
        return X.reshape(len(X), *((X.shape[1], 1, 1) if self.shape is None else self.shape))

    @property
    def _keywords(self) -> Any:
        return {"dtype": self.dtype, "memory": self.memory, "threads": self.n_jobs}

    def _solve(self, X: Any, targets: _Floats) -> None:
        """Sets coefficients A of (34) and what predictions need; `targets` [N, outputs]."""
        self.network_ = Network(self.net)
        self.X_fit_ = X
        k = np.asarray(self.network_(X, **self._keywords), np.float64)
        self.jitter_ = float(self.jitter_relative * np.trace(k) / len(k))
        k[np.diag_indices_from(k)] += self.jitter_
        try:
            self.factor_ = scipy.linalg.cholesky(k, lower=True, overwrite_a=True, check_finite=False)
        except np.linalg.LinAlgError as error:
            raise ComputationError(f"K is not positive definite with a jitter_relative of {self.jitter_relative} "
                                   f"({error}); a larger one helps") from error
        self.dual_coef_ = scipy.linalg.cho_solve((self.factor_, True), targets)
        log_det = 2 * np.log(self.factor_.diagonal()).sum()
        self.log_marginal_likelihood_ = float(
            -((targets * self.dual_coef_).sum() + targets.shape[1] * (log_det + len(k) * np.log(2 * np.pi))) / 2)  # (35)

    def _cross(self, X: Any) -> Tuple[Any, Any]:
        check_is_fitted(self)
        images = self._images(X, reset=False)
        return images, self.network_(images, self.X_fit_, **self._keywords)

    def _deviations(self, images: Any, cross: Any) -> _Floats:
        """√ of the variances (34), [M]; of rounding, what falls below 0 is 0."""
        half = scipy.linalg.solve_triangular(self.factor_, cross.T.astype(np.float64), lower=True)
        return np.asarray(np.sqrt(np.maximum(self.network_.diag(images, **self._keywords) - (half**2).sum(0), 0)))


class KernelRegressor(MultiOutputMixin, RegressorMixin, _KernelModel):  # type: ignore[misc]
    """The mean of the Gaussian process whose covariance is the network's kernel.

    Images are [N, C, H, W] or [N, H, W] of uint8 (divided by 255), float32 or float64. Rows [N, features] are images
    of ``shape`` [C, H, W] or [H, W] or, without it, of so many channels of one pixel: what a network of dense layers
    takes.

    * ``net``: whatever :class:`gramtile.Network` takes;
    * ``jitter_relative``: the noise's variance, as a part of the mean of K's diagonal;
    * ``dtype``, ``memory``: as in a call of a network; ``n_jobs`` is its ``threads``.

    After ``fit``: ``dual_coef_`` [N, outputs], ``factor_`` (Cholesky's, of K with the jitter), ``jitter_``,
    ``log_marginal_likelihood_`` (summed over outputs), ``network_``, ``X_fit_``. A K that is not positive definite is
    a ComputationError.
    """

    def fit(self, X: Any, y: Any) -> KernelRegressor:
        """``y`` [N] or [N, outputs]. It is not centred: the process has mean 0."""
        X = self._images(X, reset=True)
        y = check_array(_not_none(self, y), ensure_2d=False, dtype=np.float64, input_name="y")
        check_consistent_length(X, y)
        self._one_output = y.ndim == 1
        self._solve(X, y.reshape(len(y), -1))
        return self

    def predict(self, X: Any, return_std: bool = False) -> Any:
        """Means, shaped as ``y`` was; with ``return_std`` also their standard deviations [M], without the jitter."""
        images, cross = self._cross(X)
        mean = np.asarray(cross @ self.dual_coef_)
        mean = mean[:, 0] if self._one_output else mean
        return (mean, self._deviations(images, cross)) if return_std else mean


class KernelClassifier(ClassifierMixin, _KernelModel):  # type: ignore[misc]
    """Classes by regression on targets of +1 for an image's class and −1 for the others, as in cnn-gp.

    Images, keywords and what ``fit`` leaves are those of :class:`KernelRegressor`; ``classes_`` beside them.
    """

    def fit(self, X: Any, y: Any) -> KernelClassifier:
        """``y`` [N]: any labels, of at least two classes."""
        X = self._images(X, reset=True)
        y = column_or_1d(check_array(_not_none(self, y), ensure_2d=False, dtype=None, input_name="y"), warn=True)
        check_consistent_length(X, y)
        check_classification_targets(y)
        self.classes_, index = np.unique(y, return_inverse=True)
        if len(self.classes_) < 2:
            raise ValueError(f"KernelClassifier cannot be fitted to one class ({self.classes_[0]!r})")
        self._solve(X, 2 * np.eye(len(self.classes_))[index] - 1)
        return self

    def decision_function(self, X: Any) -> Any:
        """The means [M, classes]; of two classes [M], positive for the second."""
        mean = np.asarray(self._cross(X)[1] @ self.dual_coef_)
        return mean[:, 1] if len(self.classes_) == 2 else mean

    def predict(self, X: Any) -> Any:
        """The class with the largest mean, [M]."""
        decision = self.decision_function(X)
        best = (decision > 0).astype(int) if decision.ndim == 1 else decision.argmax(1)
        return self.classes_[best]


def _not_none(estimator: Any, y: Any) -> Any:
    if y is None:
        raise ValueError(f"{type(estimator).__name__} requires y to be passed, but the target y is None")
    return y
