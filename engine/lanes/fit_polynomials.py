#!/usr/bin/env python3
"""Fits the polynomials of relu_polynomials.hpp and prints them (needs mpmath; not part of the build).

With t = 1 - |c| on [0, 1], docs/mathematics.md:
  h(|c|) = (sqrt(1-c^2) - |c| acos|c|) / pi = t sqrt(t) g(t),   kappa(c) = max(c, 0) + h(|c|)
  acos|c| / pi = sqrt(t) q(t)
  sqrt(1-c^2)  = sqrt(t) w(t),  w(t) = sqrt(2-t)
Remez exchange in 60 digits. `relative` keeps the error small against the function itself; `kappa`
against kappa(c), c >= 0, where g's part of the sum is h / kappa <= 1; `half` against 1 - acos(c)/pi.
"""
import sys
from mpmath import mp, mpf, sqrt, acos, pi, matrix, lu_solve, cos, taylor

mp.dps = 60


def smooth(f, t):
    """f(t), by its Taylor-like limit where cancellation would eat the digits."""
    mp.dps = 120
    try:
        return +f(mpf(t) if t else mpf(10) ** -40)
    finally:
        mp.dps = 60


def h_over(t):
    a = 1 - t
    return (sqrt(1 - a * a) - a * acos(a)) / pi / (t * sqrt(t))


def q_of(t):
    return acos(1 - t) / pi / sqrt(t)


def w_of(t):
    return sqrt(2 - t)


def one(t, f):
    return 1 / f


def kappa_weight(t, f):
    h = t * sqrt(t) * f
    return (h / f) / (1 - t + h)  # d kappa / d g, relative to kappa


def half_weight(t, f):
    return sqrt(t) / (1 - sqrt(t) * f)


def remez(f, weight, degree, iterations=30):
    n = degree + 2
    x = [(1 - cos(pi * (2 * i + 1) / (2 * n))) / 2 for i in range(n)]
    grid = [(1 - cos(pi * i / mpf(1200))) / 2 for i in range(1201)]
    values = [smooth(f, t) for t in grid]
    weights = [weight(t if t else mpf(10) ** -40, v) for t, v in zip(grid, values)]
    for _ in range(iterations):
        a, b = matrix(n, n), matrix(n, 1)
        for i, t in enumerate(x):
            v = smooth(f, t)
            for k in range(degree + 1):
                a[i, k] = t**k
            a[i, degree + 1] = (-1) ** i / max(weight(t if t else mpf(10) ** -40, v), mpf(10) ** -30)
            b[i] = v
        c = lu_solve(a, b)
        poly = [c[k] for k in range(degree + 1)]
        err = [(mp.polyval(poly[::-1], t) - v) * w for t, v, w in zip(grid, values, weights)]
        # local extrema of alternating sign
        peaks = []
        for i in range(len(grid)):
            if peaks and (err[i] > 0) == (err[peaks[-1]] > 0):
                if abs(err[i]) > abs(err[peaks[-1]]):
                    peaks[-1] = i
            else:
                peaks.append(i)
        while len(peaks) > n:
            peaks.pop(0 if abs(err[peaks[0]]) < abs(err[peaks[-1]]) else -1)
        worst = max(abs(e) for e in err)
        if len(peaks) < n:
            break
        x = [grid[i] for i in peaks]
        if abs(worst / min(abs(err[i]) for i in peaks) - 1) < mpf(10) ** -3:
            break
    return poly, worst


def show(name, f, weight, degree):
    poly, worst = remez(f, weight, degree)
    print(f"// {name}, degree {degree}: error {float(worst):.1e}")
    print("  " + ", ".join(mp.nstr(p, 20) for p in poly))


if __name__ == "__main__":
    for what in sys.argv[1:]:
        fn, wt, degree = what.split(":")
        show(what, {"g": h_over, "q": q_of, "w": w_of}[fn],
             {"relative": one, "kappa": kappa_weight, "half": half_weight}[wt], int(degree))
