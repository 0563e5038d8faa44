#!/usr/bin/env python3
"""Fits the polynomials of relu_polynomials.hpp and erf_polynomials.hpp and prints them (needs mpmath; not part of
the build).

With t = 1 - |c| on [0, 1], docs/mathematics.md:
  h(|c|) = (sqrt(1-c^2) - |c| acos|c|) / pi = t sqrt(t) g(t),   kappa(c) = max(c, 0) + h(|c|)
  acos|c| / pi = sqrt(1-c^2) q(t)
Remez exchange in 60 digits. `relative` keeps the error small against the function itself; `kappa`
against kappa(c), c >= 0, where g's part of the sum is h / kappa <= 1; `slope` against 1 - acos(c)/pi;
`near_one` the same, but 5 times looser at c = 0, for behind the first relu pairs are seldom below c = 1/3.

As printed: fit_polynomials.py g:kappa:4 g:kappa:11:adapted g:relative:6 g:relative:13 \
                               q:near_one:6 q:slope:14 q:relative:7 q:relative:14
            fit_polynomials.py table   (relu_table.hpp)
            fit_polynomials.py p:relative:8 p:relative:18   (erf_polynomials.hpp)

With m = sqrt(t / 2), t on [0, 1]:  asin m = m p(t)
"""
import struct
import sys
from mpmath import acos, asin, binomial, cos, lu_solve, matrix, mp, mpf, pi, polyroots, sqrt

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
    return acos(1 - t) / pi / sqrt(t * (2 - t))


def p_of(t):
    m = sqrt(t / 2)
    return asin(m) / m


def one(t, f):
    return 1 / f


def kappa_weight(t, f):
    h = t * sqrt(t) * f
    return (h / f) / (1 - t + h)  # d kappa / d g, relative to kappa


def slope_weight(t, f):
    sine = sqrt(t * (2 - t))
    return sine / (1 - sine * f)


def near_one_weight(t, f):
    return slope_weight(t, f) / (1 + 4 * t**3)


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


def adapted(poly, shift):
    """Knuth, The Art of Computer Programming 2, 4.6.4, theorem E (Eve): for an odd degree n, with y = t + shift
    and w = y^2,
      z = a y + b,   z <- z (w - roots[k]) + rests[k]   k = 0, 1, ...
    takes (n + 3) / 2 multiplications instead of n. The roots are those of the odd part of the shifted
    polynomial; None unless all of them are real."""
    n = len(poly) - 1
    shifted = [sum(poly[k] * binomial(k, j) * (-shift) ** (k - j) for k in range(j, n + 1)) for j in range(n + 1)]
    roots = polyroots(shifted[:0:-2], maxsteps=400, extraprec=400)
    if any(abs(r.imag) > mpf(10) ** -20 for r in roots):
        return None
    roots, even, rests = sorted(r.real for r in roots), shifted[0::2], []
    for root in reversed(roots):  # even part = quotient (w - root) + rest
        quotient = [mpf(0)]
        for coefficient in reversed(even):
            quotient.append(quotient[-1] * root + coefficient)
        rests.append(quotient.pop())
        even = quotient[:0:-1]
    return shifted[-1], even[0], roots, rests[::-1]


def rounding_of(form, shift, t, u):
    """Bound of the rounding error of the adapted form at t in a type of unit rounding u (running error)."""
    a, b, roots, rests = form
    y = t + shift
    w, w_error = y * y, 3 * u * y * y
    z = a * y + b
    error = 2 * u * abs(a * y) + u * abs(z)  # y's and a's rounding; b's is in z's
    for root, rest in zip(roots, rests):
        factor = w - root
        factor_error = w_error + u * abs(root) + u * abs(factor)
        error = error * abs(factor) + abs(z) * factor_error + u * abs(rest)
        z = z * factor + rest
        error += u * abs(z)
    return error / abs(z)


def show_adapted(name, poly):
    u, grid = mpf(2) ** -53, [i / mpf(200) for i in range(201)]
    best = None
    for i in range(-60, 61):
        shift = i / mpf(16)
        form = adapted(poly, shift)
        if form is None:
            continue
        worst = max(rounding_of(form, shift, t, u) for t in grid)
        if best is None or worst < best[0]:
            best = worst, shift, form
    worst, shift, (a, b, roots, rests) = best
    print(f"// {name}: rounded in double, error at most {float(worst):.1e}")
    print(f"  shift {mp.nstr(shift, 20)}, a {mp.nstr(a, 20)}, b {mp.nstr(b, 20)}")
    print("  roots " + ", ".join(mp.nstr(r, 20) for r in roots))
    print("  rests " + ", ".join(mp.nstr(r, 20) for r in rests))


def show(name, f, weight, degree, adapt):
    poly, worst = remez(f, weight, degree)
    print(f"// {name}, degree {degree}: error {float(worst):.2e}")
    if adapt:
        show_adapted(name, poly)
    else:
        print("  " + ", ".join(mp.nstr(p, 20) for p in poly))


# The table of relu_table.hpp: h(2 u) as a cubic in s = u + SHIFT, u = (1 - c)/2, on each of 32 pieces of s.
FIRST = mpf(5) / 4 / 2**9  # where the first piece starts
SHIFT = FIRST + mpf(1) / 2**12


def bits_of(x):
    return struct.unpack("<I", struct.pack("<f", float(x)))[0]


def to_float(x):
    return mpf(struct.unpack("<f", struct.pack("<f", float(x)))[0])


def pieces():
    """Intervals of s that share the exponent and the first two bits of the mantissa."""
    s = FIRST
    while s < mpf(1) / 2 + SHIFT:
        step = mpf(2) ** (mp.floor(mp.log(s, 2)) - 2)
        yield s, s + step
        s += step


def h_at(u):
    t = 2 * u
    return t * sqrt(t) * h_over(t)


def cubic(first, last):
    """Coefficients of s^0 ... s^3, rounded to float. The first piece is 0 at u = 0, for c = 1 is exact there, and
    fitted from there on: below are only c that are larger than 1 by rounding."""
    start, stop = max(first - SHIFT, mpf(0)), min(last - SHIFT, mpf(1) / 2)
    at = lambda x: start + x * (stop - start)
    kappa = lambda x: 1 - 2 * at(x) + h_at(at(x))
    if start > 0:
        poly, _ = remez(lambda x: h_at(at(x)), lambda x, f: 1 / kappa(x), 3)
    else:
        rest, _ = remez(lambda x: h_at(at(x)) / x, lambda x, f: x / kappa(x), 2)
        poly = [mpf(0)] + rest
    in_s = [mpf(0)] * 4  # x = (s - SHIFT - start) / (stop - start)
    for n, p in enumerate(poly):
        for k in range(n + 1):
            in_s[k] += p * binomial(n, k) * (-SHIFT - start) ** (n - k) / (stop - start) ** n
    in_s = [to_float(c) for c in in_s]
    worst = mpf(0)
    for i in range(401):
        x = mpf(i) / 400 if i else mpf(10) ** -40
        worst = max(worst, abs(mp.polyval(in_s[::-1], SHIFT + at(x)) - smooth(lambda y: h_at(at(y)), x)) / kappa(x))
    return in_s, worst


def show_table():
    table, worst = [[mpf(0)] * 4 for _ in range(32)], mpf(0)
    for first, last in pieces():
        coefficients, error = cubic(first, last)
        table[bits_of(first) >> 21 & 31] = coefficients
        worst = max(worst, error)
    print(f"// shift {mp.nstr(SHIFT, 20)}: error {float(worst):.2e}")
    for k in range(4):
        print("{" + ", ".join(f"{float(row[k]):.9g}f" for row in table) + "},")


if __name__ == "__main__":
    if sys.argv[1:] == ["table"]:
        sys.exit(show_table())
    for what in sys.argv[1:]:
        fn, wt, degree, *adapt = what.split(":")
        show(what, {"g": h_over, "q": q_of, "p": p_of}[fn],
             {"relative": one, "kappa": kappa_weight, "slope": slope_weight, "near_one": near_one_weight}[wt],
             int(degree), adapt)
