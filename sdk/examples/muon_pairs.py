"""Muon pairs from e+ e- at the Z: integrate once, generate widely, merge, unweight. Needs numpy.

Lowest order, photon and Z with their interference, and a collinear photon radiated before the collision, which makes the
integrand sharp in one variable. Energies in GeV, cross-sections in pb.
"""

import json
import math
import os

import numpy as np

ALPHA = 1 / 128.9
MASS_Z = 91.1876
WIDTH_Z = 2.4952
SIN2 = 0.23122
GEV2_PB = 0.3893794e9
MASS_E = 0.000511
VECTOR = -0.5 + 2 * SIN2
AXIAL = -0.5


def differential(s, cosine):
    """dσ/dcosθ of the hard collision at s GeV², in pb."""
    coupling = 1 / (4 * SIN2 * (1 - SIN2))
    z = coupling * s / (s - MASS_Z**2 + 1j * MASS_Z * WIDTH_Z)
    even = 1 + 2 * VECTOR**2 * z.real + (VECTOR**2 + AXIAL**2) ** 2 * abs(z) ** 2
    odd = 4 * AXIAL**2 * z.real + 8 * VECTOR**2 * AXIAL**2 * abs(z) ** 2
    return math.pi * ALPHA**2 / (2 * s) * GEV2_PB * (even * (1 + cosine**2) + odd * cosine)


def weight(point, energy_gev):
    """The integrand on the unit square; point: n × 2. Also returns the event: s of the collision and cosθ."""
    beta = 2 * ALPHA / math.pi * (2 * math.log(energy_gev / MASS_E) - 1)
    # The radiator β x^(β-1) is flat in x^β.
    radiated = np.minimum(point[:, 0] ** (1 / beta), 0.9)
    s = energy_gev**2 * (1 - radiated)
    cosine = 2 * point[:, 1] - 1
    return 2 * (1 - radiated + radiated**2 / 2) * differential(s, cosine), s, cosine


def place(random, edges, count):
    """Points that lie densely where the grid's bins are narrow, and the volume that each stands for."""
    dimensions, bins = edges.shape[0], edges.shape[1] - 1
    spots = random.random((count, dimensions)) * bins
    cells = spots.astype(int)
    rows = np.arange(dimensions)
    widths = edges[rows, cells + 1] - edges[rows, cells]
    return edges[rows, cells] + (spots - cells) * widths, np.prod(widths * bins, axis=1), cells


def integrate(grid, energy_gev=91.0, calls=20000, rounds=8, bins=50, seed=1):
    """The serial part: an adapted grid (Lepage's VEGAS), written as JSON. Returns the cross-section and its error in pb."""
    random = np.random.default_rng(seed)
    edges = np.tile(np.linspace(0, 1, bins + 1), (2, 1))
    values, variances, highest = [], [], 0.0
    for number in range(rounds):
        points, volumes, cells = place(random, edges, calls)
        found = weight(points, energy_gev)[0] * volumes
        if number >= rounds // 2:
            values.append(found.mean())
            variances.append(found.var() / calls)
            highest = max(highest, float(found.max()))
            continue
        for dimension in range(2):
            height = np.bincount(cells[:, dimension], found**2, bins)
            height = np.convolve(np.pad(height, 1, mode="edge"), [1 / 3] * 3, mode="valid")
            share = height / height.sum()
            damped = ((share - 1) / np.log(np.where(share == 1, 0.5, share))) ** 0.8
            heap = np.concatenate([[0], np.cumsum(damped)])
            edges[dimension] = np.interp(np.linspace(0, heap[-1], bins + 1), heap, edges[dimension])
    inverse = 1 / np.array(variances)
    result = {
        "energy_gev": energy_gev,
        "cross_section_pb": float((np.array(values) * inverse).sum() / inverse.sum()),
        "error_pb": float(inverse.sum() ** -0.5),
        "highest_weight_pb": highest,
        "edges": edges.tolist(),
    }
    os.makedirs(os.path.dirname(grid), exist_ok=True)
    with open(grid + ".part", "w", encoding="utf-8") as file:
        json.dump(result, file)
    os.replace(grid + ".part", grid)
    return {key: value for key, value in result.items() if key != "edges"}


def generate(grid, directory, calls, seed, rank):
    """One rank's weighted events; no two ranks of a seed share random numbers. Returns how many have a weight."""
    with open(grid, encoding="utf-8") as file:
        adapted = json.load(file)
    random = np.random.default_rng([seed, rank])
    points, volumes, _ = place(random, np.array(adapted["edges"]), calls)
    found, s, cosine = weight(points, adapted["energy_gev"])
    os.makedirs(directory, exist_ok=True)
    path = os.path.join(directory, f"events-{seed}-{rank:04d}.npz")
    with open(path + ".part", "wb") as file:
        np.savez(file, weight_pb=found * volumes, s_gev2=s, cosine=cosine, azimuth_rad=random.random(calls) * 2 * math.pi)
    os.replace(path + ".part", path)
    return int((found > 0).sum())


def merge(directory, merged):
    """All ranks' events in one file. Returns their number and the cross-section that they give, in pb."""
    files = sorted(name for name in os.listdir(directory) if name.startswith("events-") and name.endswith(".npz"))
    parts = [np.load(os.path.join(directory, name)) for name in files]
    events = {key: np.concatenate([part[key] for part in parts]) for key in parts[0]}
    for part in parts:
        part.close()
    with open(merged + ".part", "wb") as file:
        np.savez(file, **events)
    os.replace(merged + ".part", merged)
    weights = events["weight_pb"]
    return {
        "files": len(files),
        "events": len(weights),
        "cross_section_pb": float(weights.mean()),
        "error_pb": float(weights.std() / math.sqrt(len(weights))),
    }


def unweight(merged, events, seed=1):
    """Keeps events as often as their weight says, and writes their muons. Returns how many, and how many went forward."""
    random = np.random.default_rng(seed)
    with np.load(merged) as data:
        weights, s, cosine, azimuth = (data[key] for key in ("weight_pb", "s_gev2", "cosine", "azimuth_rad"))
    kept = random.random(len(weights)) * weights.max() < weights
    half = np.sqrt(s[kept]) / 2
    sine = np.sqrt(1 - cosine[kept] ** 2)
    momentum = np.stack([half * sine * np.cos(azimuth[kept]), half * sine * np.sin(azimuth[kept]), half * cosine[kept]], axis=1)
    with open(events + ".part", "wb") as file:
        np.savez(file, muon_gev=momentum, antimuon_gev=-momentum)
    os.replace(events + ".part", events)
    forward = int((cosine[kept] > 0).sum())
    return {"events": int(kept.sum()), "forward": forward, "efficiency": float(kept.mean())}


if __name__ == "__main__":
    # One rank of an MPI task: generator.py GRID DIRECTORY CALLS SEED
    import sys

    own = next(os.environ[name] for name in ("OMPI_COMM_WORLD_RANK", "PMI_RANK", "SLURM_PROCID") if name in os.environ)
    print(generate(sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4]), int(own)))
