// Draws the plots of report.html from the values that stand in it; without it the tables remain.
(() => {
  const series = JSON.parse(document.getElementById("series").textContent);
  const place = document.getElementById("plots");
  const seen = getComputedStyle(document.documentElement);
  const colour = (name) => seen.getPropertyValue(name).trim();
  const blue = colour("--blue"), bad = colour("--bad"), good = colour("--good");
  const soft = colour("--soft"), line = colour("--line");
  const bars = uPlot.paths.bars({ size: [0.7, 18] });
  const number = (unit) => (_, value) =>
    value == null ? "-" : value.toLocaleString("en", { maximumFractionDigits: 2 }) + unit;

  const one = (name, label, stroke, unit = "", more = {}) =>
    ({ name, label, stroke, width: 2, value: number(unit), points: { size: 5 }, ...more });
  const bar = (name, label, stroke) => one(name, label, stroke, "", {
    paths: bars, fill: stroke + "66", width: 1, points: { show: false },
  });
  const dashed = { dash: [5, 4], width: 1, points: { show: false } };

  const plots = [
    ["Success rate, %", [one("success_rate", "success rate", good, " %")], [null, 100]],
    ["Sync time, ms", [
      one("avg_sync_time", "average", blue, " ms"),
      one("p50_sync_time", "half within", good, " ms"),
      one("p95_sync_time", "95 % within", bad, " ms")], [0, null]],
    ["Calls a day", [
      bar("api_calls", "ours", blue), one("others", "of others", soft),
      one("limit", "limit", bad, "", dashed)], [0, null]],
    ["Failed, stale and refused", [
      bar("failed_syncs", "failed", bad), one("stale_syncs", "stale", soft),
      one("rate_limit_hits", "rate limit hits", blue)], [0, null]],
    ["Attempts and calls per record", [
      one("avg_attempts", "attempts", blue), one("calls_per_record", "calls", good)], [0, null]],
    ["Calls saved", [bar("calls_saved", "saved", good)], [0, null]],
  ];
  const drawn = plots.map(([title, lines, [low, high]]) => {
    const card = place.appendChild(document.createElement("div"));
    card.className = "plot";
    card.appendChild(document.createElement("h3")).textContent = title;
    const known = lines.filter((each) => series[each.name].some((value) => value != null));
    for (const each of known) {  // a day between days that are not known has no line
      const count = series[each.name].filter((value) => value != null).length;
      each.points = { show: count < 40, ...each.points };
    }
    const axis = { stroke: soft, grid: { stroke: line, width: 1 }, ticks: { stroke: line } };
    const chart = new uPlot({
      width: card.clientWidth - 34, height: 210,
      tzDate: (at) => uPlot.tzDate(new Date(at * 1e3), "UTC"),
      cursor: { drag: { x: false, y: false } },
      scales: { x: { range: (_, first, last) => [first - 43200, last + 43200] }, y: { range: (_, least, most) => {
        const bottom = low ?? Math.min(least ?? 0, 99), top = high ?? Math.max(most ?? 1, 1);
        return [bottom - (low == null ? (top - bottom) * 0.05 : 0), top + (top - bottom) * 0.05];
      } } },
      axes: [{ ...axis, values: (_, days) => days.map((at) => new Date(at * 1e3)
        .toLocaleDateString("en", { day: "numeric", month: "short", timeZone: "UTC" })),
        incrs: [1, 2, 7, 14, 28].map((days) => days * 86400) },
        { ...axis, size: 58, values: (_, ticks) => ticks.map((at) => at.toLocaleString("en")) }],
      series: [{ label: "day", value: (_, at) => at == null ? "-" : new Date(at * 1e3).toISOString().slice(0, 10) },
        ...known.map(({ name, ...rest }) => rest)],
    }, [series.days, ...known.map((each) => series[each.name])], card);
    return [card, chart];
  });
  addEventListener("resize", () => drawn.forEach(([card, chart]) =>
    chart.setSize({ width: card.clientWidth - 34, height: 210 })));
})();
