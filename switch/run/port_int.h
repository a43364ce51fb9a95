/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * port_int: what the parts of run/port share.  For these only:
 *
 *   port.c       the life of a port: START HERE
 *   port_take.c  from an interface to sockets that the worker may have, or why not
 *   port_size.c  how much memory, how long the rings
 */
#ifndef SHUNT_RUN_PORT_INT_H
#define SHUNT_RUN_PORT_INT_H

#include "bpf/steer.h"
#include "io/xsk.h"
#include "netlink/ethtool.h"
#include "netlink/xdp.h"
#include "run/port.h"

/* How a port is bound: its queues, and how long their rings can be with the memory it has. */
struct port_plan {
	unsigned queues, tx_queues; /* the first tx_queues of them can send */
	unsigned ring, stage;       /* entries of each ring; frames waiting for a TX ring */
};

enum port_stage {
	STAGE_AWAY, /* no sockets; a steer may have been kept, and if attached passes everything */
	STAGE_JOINING, /* sockets are on their way to the worker */
	STAGE_BOUND,
	STAGE_DRAINING, /* the worker is to let go */
};

struct port {
	const struct config_port *conf;
	unsigned slot;
	struct mirror_port status;
	enum port_stage stage;
	bool anew;        /* draining only to bind again */
	bool attached;    /* steer is */
	bool displaced;   /* somebody else took steer off: not again at once */
	uint32_t ifindex; /* taken, or was last */
	struct ethtool_info driver;
	struct port_plan plan;
	enum xsk_mode mode;
	bool partial, hint;
	struct steer *steer;
	struct xsk_port *sockets;
	struct xsk_port *closed; /* earlier sockets whose frames are in limbo, until: */
	uint32_t closed_ifindex;
	uint64_t closed_until_ns;
	char refusal[96]; /* why not taken, or left to the kernel though taken; "" neither */
	uint64_t retry_at_ns;
};

struct ports {
	struct ports_conf conf;
	unsigned count, ticks;
	struct ethtool_watch *watch; /* NULL: this kernel does not notify */
	struct xdp *xdp;             /* NULL: stance "kernel", whose links say it */
	struct port port[SHUNT_PORTS_MAX];
};

/* port_take.c */
/* Which driver, which mode; load and attach steer, bind all queues: port->steer, ->sockets, ->plan,
 * ->mode.  A steer that was kept for this interface is used again.  After a failure there are no
 * sockets, and a steer at most if it was there before. */
int port_take(struct ports *ports, struct port *port);
/* Generic XDP, whatever the program (an empty one does), makes llc_rcv() drop 802.2 frames: seen
 * with BPDUs on veth, Linux 6.18.  On a bridge that goes by STP this would be a loop. */
bool port_breaks_stp(const struct port *port, enum xsk_mode mode);
/* Write down, and log once, why it failed. */
void port_explain(struct port *port, int err);
/* What makes a port that was taken the kernel's all the same: port->refusal, "" nothing. */
void port_object(struct ports *ports, struct port *port);
extern const char port_busy[];
extern const char *const port_mode_names[];

/* port_size.c */
/* `share`: frames this port may have; `room`: queues the worker has places for. */
struct port_plan port_plan(const struct config_port *conf, const struct ethtool_info *driver,
			   unsigned ring, size_t share, unsigned room);
unsigned ports_queue_room(const struct ports *ports, const struct port *but);

#endif
