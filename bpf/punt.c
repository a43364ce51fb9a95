// SPDX-License-Identifier: BSD-2-Clause
#include "bpf/punt.h"

#include <errno.h>
#include <stdlib.h>

#include <bpf/libbpf.h>

#include "bpf/log.h"
#include "bpf/punt.skel.h"

struct punt_prog {
	struct punt_bpf *skel;
};

int punt_prog_open(struct punt_prog **out, unsigned slot)
{
	struct punt_prog *prog;
	int ret;

	bpf_log_capture();
	bpf_log_clear();
	prog = calloc(1, sizeof(*prog));
	if (!prog) {
		return -ENOMEM;
	}
	prog->skel = punt_bpf__open();
	if (!prog->skel) {
		ret = -errno;
		goto err_free;
	}
	prog->skel->rodata->port_slot = slot;
	ret = punt_bpf__load(prog->skel);
	if (ret) {
		goto err_skel;
	}
	*out = prog;
	return 0;

err_skel:
	punt_bpf__destroy(prog->skel);
err_free:
	free(prog);
	return ret;
}

void punt_prog_close(struct punt_prog *prog)
{
	if (!prog) {
		return;
	}
	punt_bpf__destroy(prog->skel);
	free(prog);
}

int punt_prog_fd(const struct punt_prog *prog)
{
	return bpf_program__fd(prog->skel->progs.shunt_punt);
}

void punt_prog_set_mac(struct punt_prog *prog, const struct mac *mac)
{
	uint64_t word = 0;

	memcpy(&word, mac->b, MAC_SIZE);
	__atomic_store_n(&prog->skel->bss->port_mac, word, __ATOMIC_RELAXED);
}
