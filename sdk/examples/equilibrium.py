"""The equilibrium of a tokamak's plasma between two shots, from what its coils measured. Needs numpy.

Fixed rectangular wall, ψ = 0 on it. The two profiles are one number each: p' = P and FF' = G, so that the Grad–Shafranov
equation Δ*ψ = -μ0 R² P - G is linear in them, and the fit to the measured fluxes is a small least-squares problem on top of
a fast direct solver: sines in Z, tridiagonal in R. Lengths in m, ψ in Wb/rad.
"""

import json
import math
import os
import time

import numpy as np

MU0 = 4e-7 * math.pi
WALL = (1.0, 2.4, -1.2, 1.2)
PROBES = 24


def grid(points):
    r0, r1, z0, z1 = WALL
    return np.linspace(r0, r1, points + 2), np.linspace(z0, z1, points + 2)


def solve(right, points):
    """ψ inside the wall from Δ*ψ = right; both points × points, R first."""
    r, z = grid(points)
    dr, dz = r[1] - r[0], z[1] - z[0]
    inner = r[1:-1]
    sines = np.sin(math.pi * np.outer(np.arange(1, points + 1), np.arange(1, points + 1)) / (points + 1))
    modes = right @ sines * 2 / (points + 1)
    waves = -4 / dz**2 * np.sin(math.pi * np.arange(1, points + 1) / (2 * (points + 1))) ** 2
    # Δ* = R ∂/∂R (1/R ∂/∂R) + ∂²/∂Z²: differences that keep the flux between cells.
    below = inner / ((inner - dr / 2) * dr**2)
    above = inner / ((inner + dr / 2) * dr**2)
    ratio = np.zeros((points, points))
    value = np.zeros((points, points))
    for row in range(points):
        centre = -(below[row] + above[row]) + waves
        before = below[row] * ratio[row - 1] if row else 0
        ratio[row] = above[row] / (centre - before)
        value[row] = (modes[row] - (below[row] * value[row - 1] if row else 0)) / (centre - before)
    for row in range(points - 2, -1, -1):
        value[row] -= ratio[row] * value[row + 1]
    return value @ sines


def probes(psi, points):
    """The flux at the probes, which sit on an ellipse inside the wall."""
    r, z = grid(points)
    full = np.pad(psi, 1)
    turn = 2 * math.pi * np.arange(PROBES) / PROBES
    at_r = 1.7 + 0.55 * np.cos(turn)
    at_z = 0.95 * np.sin(turn)
    i = (at_r - r[0]) / (r[1] - r[0])
    j = (at_z - z[0]) / (z[1] - z[0])
    i0, j0 = i.astype(int), j.astype(int)
    u, v = i - i0, j - j0
    return (
        full[i0, j0] * (1 - u) * (1 - v)
        + full[i0 + 1, j0] * u * (1 - v)
        + full[i0, j0 + 1] * (1 - u) * v
        + full[i0 + 1, j0 + 1] * u * v
    )


def responses(points):
    """ψ for P = 1 Pa per Wb/rad, and for G = 1."""
    inner = grid(points)[0][1:-1, None]
    return solve(np.repeat(-MU0 * inner**2, points, 1), points), solve(-np.ones((points, points)), points)


def pulse(path, shot, pressure=-4e5, current=-0.6, noise=1e-3, seed=1):
    """The experiment's part: the file of one shot, as its probes read it."""
    random = np.random.default_rng([seed, shot])
    by_pressure, by_current = responses(160)
    truth = probes(pressure * by_pressure + current * by_current, 160)
    readings = truth * (1 + noise * random.standard_normal(PROBES))
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path + ".part", "w", encoding="utf-8") as file:
        json.dump({"shot": shot, "flux_wb_per_rad": readings.tolist()}, file)
    os.replace(path + ".part", path)
    return shot


def reconstruct(measured, result, points):
    """The equilibrium on points × points; its ψ is left in an .npz. Returns the magnetic axis, the fit, and the time it took."""
    started = time.monotonic()
    with open(measured, encoding="utf-8") as file:
        shot = json.load(file)
    readings = np.array(shot["flux_wb_per_rad"])
    by_pressure, by_current = responses(points)
    columns = np.stack([probes(by_pressure, points), probes(by_current, points)], axis=1)
    scale = np.abs(columns).max(axis=0)
    fitted, *_ = np.linalg.lstsq(columns / scale, readings, rcond=None)
    pressure, current = fitted / scale
    psi = pressure * by_pressure + current * by_current
    r, z = grid(points)
    top = np.unravel_index(np.abs(psi).argmax(), psi.shape)
    left_over = columns @ (fitted / scale) - readings
    os.makedirs(os.path.dirname(result), exist_ok=True)
    with open(result + ".part", "wb") as file:
        np.savez(file, psi=psi.astype(np.float32), r_m=r[1:-1], z_m=z[1:-1])
    os.replace(result + ".part", result)
    return {
        "shot": shot["shot"],
        "points": points,
        "pressure_gradient": float(pressure),
        "current_gradient": float(current),
        "axis_r_m": float(r[1:-1][top[0]]),
        "axis_z_m": float(z[1:-1][top[1]]),
        "relative_error": float(np.sqrt((left_over**2).mean()) / np.abs(readings).max()),
        "seconds": time.monotonic() - started,
    }
