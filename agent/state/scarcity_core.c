/* SPDX-License-Identifier: Apache-2.0 */
/* Scarcity, as the draft says it: telemetry becomes a forecast, the forecast maps to a band, the
 * band sets the surge, per parameter and per path.
 *
 * As we do it: bandwidth is scarce where promises or the forecast load fill the path; latency is
 * scarce where the delay grows, and on the lowest-latency path already at a smaller load, because
 * nothing replaces it; availability is scarce where packets are lost or no spare stands by. A dead
 * path has nothing to sell. A band is left later than it is entered. */
#include "scarcity_core.h"
#include "treaty/why.h"
#include "treaty/pure.h"

static enum band worse(enum band a, enum band b)
{
	return a > b ? a : b;
}

static enum band band_of(const struct scarcity_edge *e, enum band prev, uint64_t x)
{
	for (unsigned b = BAND_WITHDRAWN; b > BAND_PLENTY; b--)
		if (e->up[b] && (x >= e->up[b] || (prev >= b && x >= e->down[b])))
			return (enum band)b;
	return BAND_PLENTY;
}

static uint64_t permille(uint64_t part, uint64_t whole)
{
	if (whole == 0)
		return UINT32_MAX;
	return part > UINT64_MAX / 1000 ? UINT32_MAX : part * 1000 / whole;
}

static bool is_shortest(const struct scarcity_in *in, const struct path_view *v)
{
	for (unsigned i = 0; i < in->n_paths; i++) {
		const struct path_view *o = &in->path[i];

		if (o->alive && o->type == v->type && o->base.us < v->base.us)
			return false;
	}
	return v->alive;
}

static uint64_t view_load(const struct path_view *v)
{
	uint64_t bps =
		v->reserved.bps > v->load_forecast.bps ? v->reserved.bps : v->load_forecast.bps;

	return permille(bps, v->capacity.bps);
}

static void one_path(const struct scarcity_in *in, const struct path_view *v,
		     struct scarcity_path *o)
{
	const struct scarcity_params *p = &in->p;
	uint64_t load = view_load(v);
	uint32_t slow = v->forecast.us > v->delay.us ? v->forecast.us : v->delay.us;
	enum band b[AXIS_MAX_] = { BAND_WITHDRAWN, BAND_WITHDRAWN, BAND_WITHDRAWN };

	if (v->alive) {
		b[AXIS_BANDWIDTH] = band_of(&p->load, v->band[AXIS_BANDWIDTH], load);
		b[AXIS_LATENCY] = band_of(&p->delay, v->band[AXIS_LATENCY],
					  slow ? permille(slow, v->base.us) : 0);
		if (is_shortest(in, v))
			b[AXIS_LATENCY] = worse(b[AXIS_LATENCY],
						band_of(&p->shortest, v->band[AXIS_LATENCY], load));
		b[AXIS_AVAILABILITY] = band_of(&p->loss, v->band[AXIS_AVAILABILITY], v->loss_ppm);
		if (!v->spare)
			b[AXIS_AVAILABILITY] = worse(b[AXIS_AVAILABILITY], BAND_STEEP);
	}
	o->path = v->path;
	for (unsigned a = 0; a < AXIS_MAX_; a++) {
		o->band[a] = (uint8_t)b[a];
		o->surge_pct[a] = scarcity_surge(p, (enum axis)a, b[a]);
	}
}

void scarcity_decide(const struct scarcity_in *in, struct scarcity_out *out)
{
	static const char *const axis[AXIS_MAX_] = { "bandwidth", "latency", "availability" };
	unsigned path = 0, ax = 0;
	int band = -1;

	memset(out, 0, sizeof(*out));
	for (unsigned i = 0; i < in->n_paths && i < PATHS_MAX; i++) {
		struct scarcity_path *o = &out->path[out->n_paths++];

		one_path(in, &in->path[i], o);
		for (unsigned a = 0; a < AXIS_MAX_; a++) {
			if (o->band[a] < band || (o->band[a] == band && o->path >= path))
				continue;
			band = o->band[a];
			path = o->path;
			ax = a;
		}
	}
	why_rule(&out->why, "scarcest");
	why_num(&out->why, "path", path);
	why_text(&out->why, "axis", axis[ax]);
	why_num(&out->why, "band", band);
}

uint16_t scarcity_surge(const struct scarcity_params *p, enum axis a, enum band b)
{
	if ((unsigned)a >= AXIS_MAX_ || (unsigned)b >= BAND_MAX_)
		return 0;
	return p->surge_pct[a * BAND_MAX_ + b];
}

void scarcity_defaults(struct scarcity_params *p)
{
	*p = (struct scarcity_params){
		.load = { { 0, 600, 800, 950 }, { 0, 550, 750, 900 } },
		.shortest = { { 0, 400, 700, 950 }, { 0, 350, 650, 900 } },
		.delay = { { 0, 1300, 2000, 4000 }, { 0, 1200, 1700, 3000 } },
		.loss = { { 0, 1000, 10000, 50000 }, { 0, 500, 5000, 20000 } },
		.surge_pct = { 0, 20, 80, 80, 0, 25, 150, 150, 0, 10, 50, 50 },
	};
}
