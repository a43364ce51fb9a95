# SPDX-License-Identifier: BSD-2-Clause
"""extras: what a frame rate does not show."""


def section_pipe(results, out, rounds, seconds):
    """Filled in with the pipe benchmark."""


section_start = section_punt = section_idle = section_rtt = section_pipe
