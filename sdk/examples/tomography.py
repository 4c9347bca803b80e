"""Parallel-beam tomography: what a beamline's flow runs, step by step. Needs numpy.

A raw file is an .npz with `counts` (slices × angles × detector pixels), `flat` (counts without a sample) and `angles_rad`.
Paths may begin with a variable: `$ERRAND_COLLECTION_DATA/scan7/raw.npz` is what transfers call `/data/scan7/raw.npz`.
"""

import hashlib
import json
import math
import os
import struct
import zlib

import numpy as np

# The head phantom of Shepp and Logan with Toft's contrasts: value, half axes, centre, tilt in degrees.
ELLIPSES = [
    (1.0, 0.69, 0.92, 0.0, 0.0, 0.0),
    (-0.8, 0.6624, 0.874, 0.0, -0.0184, 0.0),
    (-0.2, 0.11, 0.31, 0.22, 0.0, -18.0),
    (-0.2, 0.16, 0.41, -0.22, 0.0, 18.0),
    (0.1, 0.21, 0.25, 0.0, 0.35, 0.0),
    (0.1, 0.046, 0.046, 0.0, 0.1, 0.0),
    (0.1, 0.046, 0.046, 0.0, -0.1, 0.0),
    (0.1, 0.046, 0.023, -0.08, -0.605, 0.0),
    (0.1, 0.023, 0.023, 0.0, -0.606, 0.0),
    (0.1, 0.023, 0.046, 0.06, -0.605, 0.0),
]


def phantom(pixels, scale=1.0):
    """The slice that `acquire` looks at: pixels × pixels, y upwards; `scale` shrinks it, as slices above the middle are."""
    axis = (np.arange(pixels) + 0.5) / pixels * 2 - 1
    x, y = np.meshgrid(axis, axis)
    image = np.zeros((pixels, pixels))
    for value, a, b, x0, y0, tilt_deg in ELLIPSES:
        tilt = math.radians(tilt_deg)
        u = (x - x0 * scale) * math.cos(tilt) + (y - y0 * scale) * math.sin(tilt)
        v = (y - y0 * scale) * math.cos(tilt) - (x - x0 * scale) * math.sin(tilt)
        image[(u / (a * scale)) ** 2 + (v / (b * scale)) ** 2 <= 1] += value
    return image


def line_integrals(angles_rad, pixels, scale):
    """Exact ones of the phantom: angles × pixels. An ellipse's shadow is known in closed form."""
    detector = (np.arange(pixels) + 0.5) / pixels * 2 - 1
    shadow = np.zeros((len(angles_rad), pixels))
    for value, a, b, x0, y0, tilt_deg in ELLIPSES:
        a, b, x0, y0 = a * scale, b * scale, x0 * scale, y0 * scale
        turned = angles_rad[:, None] - math.radians(tilt_deg)
        width = (a * np.cos(turned)) ** 2 + (b * np.sin(turned)) ** 2
        offset = detector[None, :] - (x0 * np.cos(angles_rad) + y0 * np.sin(angles_rad))[:, None]
        shadow += value * 2 * a * b * np.sqrt(np.clip(width - offset**2, 0, None)) / width
    return shadow


def acquire(path, slices=4, angles=90, pixels=64, photons=1e6, seed=1):
    """The instrument's part: writes a raw file with the noise of counted photons. Returns its size in bytes."""
    random = np.random.default_rng(seed)
    angles_rad = np.arange(angles) * math.pi / angles
    scales = 1 - 0.4 * np.abs(np.linspace(-1, 1, slices))
    clean = np.stack([line_integrals(angles_rad, pixels, scale) for scale in scales])
    counts = random.poisson(photons * np.exp(-clean)).astype(np.uint32)
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path + ".part", "wb") as file:
        np.savez(file, counts=counts, flat=np.full(pixels, photons), angles_rad=angles_rad)
    os.replace(path + ".part", path)
    return os.path.getsize(path)


def describe(raw):
    """What a catalogue wants to know of a raw file."""
    raw = os.path.expandvars(raw)
    with open(raw, "rb") as file:
        digest = hashlib.sha256(file.read()).hexdigest()
    with np.load(raw) as data:
        slices, angles, pixels = data["counts"].shape
        return {
            "file": os.path.basename(raw),
            "sha256": digest,
            "bytes": os.path.getsize(raw),
            "slices": list(range(slices)),
            "angles": angles,
            "pixels": pixels,
            "mean_counts": float(data["counts"].mean()),
        }


def reconstruct(raw, directory, number):
    """Filtered back-projection of one slice; its .npy is left in the directory. Returns where, and its range of values."""
    directory = os.path.expandvars(directory)
    with np.load(os.path.expandvars(raw)) as data:
        absorbed = np.log(data["flat"] / np.maximum(data["counts"][number], 1))
        angles_rad = data["angles_rad"]
    pixels = absorbed.shape[1]
    padded = 2 ** math.ceil(math.log2(2 * pixels))
    # The ramp is made where it is defined, on the detector: a ramp cut off in frequency shifts the image's mean.
    ramp = np.zeros(padded)
    odd = np.arange(1, padded // 2, 2)
    ramp[0] = 0.25
    ramp[odd] = ramp[-odd] = -1 / (math.pi * odd) ** 2
    filtered = np.fft.irfft(np.fft.rfft(absorbed, padded) * np.fft.rfft(ramp).real, padded)[:, :pixels] * pixels / 2
    axis = (np.arange(pixels) + 0.5) / pixels * 2 - 1
    x, y = np.meshgrid(axis, axis)
    image = np.zeros((pixels, pixels))
    for angle, row in zip(angles_rad, filtered):
        image += np.interp(x * math.cos(angle) + y * math.sin(angle), axis, row)
    image *= math.pi / len(angles_rad)
    image[x**2 + y**2 > 1] = 0
    os.makedirs(directory, exist_ok=True)
    path = os.path.join(directory, f"slice-{number:04d}.npy")
    with open(path + ".part", "wb") as file:
        np.save(file, image.astype(np.float32))
    os.replace(path + ".part", path)
    return {"slice": number, "file": path, "lowest": float(image.min()), "highest": float(image.max())}


def plot(files, png):
    """All slices beside each other, in grey. Returns width and height in pixels."""
    png = os.path.expandvars(png)
    image = np.flipud(np.hstack([np.load(file) for file in files]))
    grey = (np.clip(image / 0.5, 0, 1) * 255).astype(np.uint8)
    height, width = grey.shape

    def chunk(kind, body):
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    rows = b"".join(b"\0" + row.tobytes() for row in grey)
    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    with open(png + ".part", "wb") as file:
        file.write(b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b""))
    os.replace(png + ".part", png)
    return [width, height]


def publish(directory, metadata):
    """Writes the record of a data set beside its files, with a checksum for each. Returns the record."""
    directory = os.path.expandvars(directory)
    files = sorted(name for name in os.listdir(directory) if not name.endswith(".part") and name != "record.json")
    record = {"title": f"Reconstruction of {metadata['file']}", "raw": metadata, "files": {}}
    for name in files:
        with open(os.path.join(directory, name), "rb") as file:
            record["files"][name] = hashlib.sha256(file.read()).hexdigest()
    with open(os.path.join(directory, "record.json"), "w", encoding="utf-8") as file:
        json.dump(record, file, indent=2)
    return record
