"""A transfer beside the same work done by hand, in turns on the same machine: its speed, and its memory.

By hand: `openstack image save IMAGE | openstack image create NAME`. `make client-speed` runs this, and prints what it measures.
"""

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from places import Place

MIB = 1 << 20
SIZE_MIB, SMALL_MIB = 320, 64
ROUNDS = 3
LEAST_SPEED = 0.9
"""Of the speed by hand."""

MOST_GROWTH_MIB = 32
"""Of the memory of a transfer, between the two sizes, which differ by 256 MiB."""

OPENSTACK = str(Path(sys.executable).with_name("openstack"))
MEASURE = """
import resource, subprocess, sys
subprocess.run(sys.argv[1:], check=True)
print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)
"""
"""A small process between: Linux begins the peak of a process with that of the one that starts it."""

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]


@pytest.fixture(params=["partage", "glance"])
def measured(request: pytest.FixtureRequest) -> Place:
    """Give a Partage, and a real Glance."""
    found: Place = request.getfixturevalue(request.param)
    for each in ("project-a", "project-b"):
        found.forget_images(each)
    return found


def transfer(place: Place, image_id: str) -> tuple[float, float]:
    """Transfer an image with the command; return the seconds, and the peak of the process's memory in MiB."""
    words = ["image", "transfer", f"project-a:{image_id}", "project-b", "-f", "json"]
    begun = time.monotonic()
    done = subprocess.run(
        [sys.executable, "-c", MEASURE, OPENSTACK, *words],
        env=find_environment(place),
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    seconds = time.monotonic() - begun
    place.forget_images("project-b")
    return seconds, int(done.stdout.splitlines()[-1]) / 1024


def copy_by_hand(place: Place, image_id: str) -> float:
    """Do the same with two commands; return the seconds."""
    save = f"{OPENSTACK} --os-cloud project-a image save {image_id}"
    create = f"{OPENSTACK} --os-cloud project-b image create --disk-format raw --container-format bare by-hand"
    command = ["bash", "-o", "pipefail", "-c", f"{save} | {create}"]
    begun = time.monotonic()
    subprocess.run(command, env=find_environment(place), stdout=subprocess.DEVNULL, check=True)
    seconds = time.monotonic() - begun
    place.forget_images("project-b")
    return seconds


def find_environment(place: Place) -> dict[str, str]:
    return {**os.environ, "OS_CLIENT_CONFIG_FILE": str(place.clouds_file), "PYTHONWARNINGS": "ignore"}


def test_transfer_is_as_fast_as_by_hand_in_flat_memory(measured: Place) -> None:
    small = measured.create_image("small", data=os.urandom(SMALL_MIB * MIB))["id"]
    _seconds, small_peak = transfer(measured, small)
    image = measured.create_image("large", data=os.urandom(SIZE_MIB * MIB))["id"]
    by_hand, by_transfer, peaks = [], [], []
    for number in range(ROUNDS):
        if number % 2:
            by_hand.append(copy_by_hand(measured, image))
        seconds, peak = transfer(measured, image)
        by_transfer.append(seconds)
        peaks.append(peak)
        if not number % 2:
            by_hand.append(copy_by_hand(measured, image))
    speed = min(by_hand) / min(by_transfer)
    print(
        f"\n{'Glance' if measured.is_glance else 'Partage'}, {SIZE_MIB} MiB:"
        f" by hand {min(by_hand):.1f} s, transfer {min(by_transfer):.1f} s, {speed:.2f} times as fast;"
        f" {min(peaks):.0f} MiB of memory, {small_peak:.0f} MiB for {SMALL_MIB} MiB"
    )
    assert speed >= LEAST_SPEED, (by_hand, by_transfer)
    assert min(peaks) - small_peak < MOST_GROWTH_MIB
