/* SPDX-License-Identifier: Apache-2.0 */
/* Holt's double smoothing in integers (x 256). Three things keep it honest on live series: a lone
 * outlier is clipped, several on one side are a shift of level whose slope is taken from
 * themselves, and a trend within the noise counts as none. */
#include "forecast_core.h"
#include "treaty/pure.h"

#define ONE        256
#define SAMPLE_MAX ((int64_t)1 << 44) /* x 256 x 1000 stays within 64 bits */

static int64_t magnitude(int64_t v)
{
	return v < 0 ? -v : v;
}

static int64_t clamp(int64_t v, int64_t lo, int64_t hi)
{
	return v < lo ? lo : v > hi ? hi : v;
}

static int64_t times(int64_t v, int64_t n)
{
	int64_t r;

	return __builtin_mul_overflow(v, n, &r) ? (v < 0 ? -SAMPLE_MAX : SAMPLE_MAX) * ONE : r;
}

static int64_t spread_of(const struct forecast_params *p, const struct forecast_state *s)
{
	int64_t least = clamp(p->spread_min, 1, SAMPLE_MAX) * ONE;

	return s->spread > least ? s->spread : least;
}

/* A run of outliers: until `shift` of them the series is believed rather than the sample. True
 * when the level has been moved. */
static bool shifted(const struct forecast_params *p, struct forecast_state *s, int64_t x,
		    int64_t err)
{
	bool same = (err > 0 && s->run > 0) || (err < 0 && s->run < 0);
	int run = same ? s->run + (err > 0 ? 1 : -1) : (err > 0 ? 1 : -1);
	int64_t step, slope;

	if (run == 1 || run == -1)
		s->first = s->last = x;
	step = x - s->last;
	s->last = x;
	s->run = (int16_t)run;
	if (magnitude(run) < p->shift)
		return false;
	/* A step that two windows share looks like a slope; only what still goes on is one. */
	slope = magnitude(run) > 1 ? (x - s->first) / (magnitude(run) - 1) : 0;
	if ((slope > 0) != (step > 0))
		slope = 0;
	s->trend = magnitude(step) < magnitude(slope) ? step : slope;
	s->level = x;
	s->run = 0;
	return true;
}

void forecast_update(const struct forecast_in *in, struct forecast_state *out)
{
	const struct forecast_params *p = &in->p;
	struct forecast_state s = in->s;
	int64_t x = clamp(in->sample, 0, SAMPLE_MAX) * ONE, limit, err;
	unsigned gap = in->steps > 1 ? in->steps - 1u : 0;

	if (s.n == 0 || gap > p->gap_max) {
		*out = (struct forecast_state){ .level = x, .n = 1 };
		out->spread = spread_of(p, out);
		return;
	}
	s.level = clamp(s.level + times(s.trend, gap), 0, SAMPLE_MAX * ONE);
	err = x - (s.level + s.trend);
	limit = times(spread_of(p, &s), p->outlier) / 10;
	s.n += s.n < UINT32_MAX;
	if (s.n > p->warm && magnitude(err) > limit) {
		if (shifted(p, &s, x, err)) {
			*out = s;
			return;
		}
		err = clamp(err, -limit, limit);
	} else {
		s.run = 0;
	}
	s.level = clamp(s.level + s.trend + err * p->alpha / 1000, 0, SAMPLE_MAX * ONE);
	s.trend += err * p->alpha / 1000 * p->beta / 1000;
	s.trend = clamp(s.trend, -SAMPLE_MAX, SAMPLE_MAX);
	s.spread += (magnitude(err) - s.spread) * p->gamma / 1000;
	*out = s;
}

void forecast_predict(const struct forecast_params *p, const struct forecast_state *s,
		      uint16_t horizon, struct forecast_value *out)
{
	int64_t spread = spread_of(p, s), noise = spread * p->dead / 100;
	int64_t rise = s->trend > noise ? s->trend - noise : 0;
	int64_t top = clamp(s->level + times(rise, horizon), 0, SAMPLE_MAX * ONE);

	out->known = s->n >= p->warm && s->n > 0;
	if (!out->known)
		top = s->level;
	out->mean = top / ONE;
	out->upper = out->known
			     ? clamp(top + times(spread, p->upper) / 10, 0, SAMPLE_MAX * ONE) / ONE
			     : out->mean;
}

void forecast_defaults(struct forecast_params *p, int64_t spread_min)
{
	*p = (struct forecast_params){
		.alpha = 300,
		.beta = 150,
		.gamma = 100,
		.warm = 8,
		.gap_max = 10,
		.outlier = 80,
		.shift = 3,
		.dead = 8,
		.upper = 25,
		.spread_min = spread_min,
	};
}
