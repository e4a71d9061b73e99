/* Curves: which cards there are, and drawing them with Chart.js. */

const REFLECTIVE = ["wait", "mistake", "however", "but", "retry", "error", "verify", "wrong", "evaluate", "check"];

/* A card: title; unit of its values; lines, each [metric, name]; where the metrics are. Cards without values are left out. */
function chartCards() {
  const names = [...data.metrics.series.keys()];
  const parts = names.filter((n) => /^rewards\/.*\/mean$/.test(n)).map((n) => [n, n.slice(8, -5)]);
  const atK = [...data.evals.series.keys()].filter((n) => /^eval\/(pass|cons)@\d+$/.test(n) && n !== "eval/pass@1");
  return [
    { title: "Held-out accuracy", wide: true, percent: true, from: data.evals, band: "eval/pass@1_ci95",
      lines: [["eval/pass@1", "pass@1, 95 % interval"], ...atK.map((n) => [n, n.slice(5)])] },
    { title: "Reward", wide: true, lines: [["reward", "total"], ["kept/reward", "of groups trained on"], ...(parts.length > 1 ? parts : [])] },
    { title: "Completion length", unit: "tokens",
      lines: [["completions/mean_length", "mean"], ["completions/mean_terminated_length", "of those that ended"]] },
    { title: "Reflective words", unit: "per completion", stacked: true, total: "aha/all",
      lines: REFLECTIVE.map((w) => ["aha/" + w, w]) },
    { title: "Entropy", unit: "nats per token", lines: [["entropy", "entropy"]] },
    { title: "KL from the reference", unit: "nats per token", lines: [["kl", "kl"]] },
    { title: "Loss", lines: [["loss", "loss"]] },
    { title: "Gradient norm", lines: [["grad_norm", "before clipping"]] },
    { title: "Clip ratio", percent: true,
      lines: [["clip_ratio/low_mean", "low"], ["clip_ratio/high_mean", "high"], ["clip_ratio/region_mean", "both"]] },
    { title: "Shares", percent: true,
      lines: [["frac_reward_zero_std", "groups of equal reward"], ["completions/clipped_ratio", "cut off"],
        ["completions/dropped_ratio", "unjudged"]] },
    { title: "Learning rate", lines: [["learning_rate", "learning rate"]] },
    { title: "Time per step", unit: "s", stacked: true, total: "step_time",
      lines: [["timing_s/rollout", "rollout"], ["timing_s/reward", "reward"], ["timing_s/train", "train"],
        ["timing_s/other", "other"]] },
    { title: "Throughput", unit: "tokens/s", lines: [["throughput/tokens_per_second", "tokens per second"]] },
  ];
}

/* step_time less the named parts. */
function addOtherTime(table) {
  const whole = table.series.get("step_time");
  if (!whole) return;
  const parts = [...table.series].filter(([name]) => name.startsWith("timing_s/")).map(([, values]) => values);
  table.series.set("timing_s/other", whole.map((all, i) =>
    all === null ? null : Math.max(0, all - parts.reduce((sum, values) => sum + (values[i] ?? 0), 0))));
}

/* Exponential moving average, corrected for its start. */
function smooth(values, weight) {
  let mean = 0, share = 0;
  return values.map((value) => {
    if (value === null) return null;
    mean = weight * mean + (1 - weight) * value;
    share = weight * share + (1 - weight);
    return mean / share;
  });
}

/* A colour of the style sheet as the browser computes it for the theme in use. */
function cssColour(name) {
  const probe = element("i");
  probe.style.color = "var(--" + name + ")";
  document.body.append(probe);
  const colour = getComputedStyle(probe).color;
  probe.remove();
  return colour;
}

function fade(colour, alpha) {
  const [r, g, b] = colour.match(/[\d.]+/g);
  return `rgba(${r}, ${g}, ${b}, ${alpha})`;
}

function formatNumber(value) {
  if (value === null || value === undefined || Number.isNaN(value)) return "–";
  const size = Math.abs(value);
  if (size !== 0 && (size < 1e-3 || size >= 1e7)) return value.toExponential(2).replace(/\.?0*e\+?/, "e");
  if (size >= 1000) return Math.round(value).toLocaleString("en");
  return String(Number(value.toPrecision(size >= 100 ? 4 : 3)));
}

function formatValue(card, value) {
  if (value === null || value === undefined) return "–";
  return card.percent ? formatNumber(100 * value) + " %" : formatNumber(value);
}

function lastOf(values) {
  return values ? values.findLast((value) => value !== null) : undefined;
}

const xy = (steps, values) => values.map((y, i) => ({ x: steps[i], y })).filter((point) => point.y !== null);

function bandSets(card, table, colour) {
  const centre = table.series.get(card.lines[0][0]), half = card.band && table.series.get(card.band);
  if (!half) return [];
  const edge = (sign) => xy(table.steps, centre.map((v, i) =>
    v === null || half[i] === null ? null : Math.min(1, Math.max(0, v + sign * half[i]))));
  const style = { borderWidth: 0, pointRadius: 0, pointHitRadius: 0, isBand: true };
  return [{ ...style, data: edge(-1), fill: false },
    { ...style, data: edge(1), fill: "-1", backgroundColor: fade(colour, 0.16) }];
}

function lineSets(card, table, index, name, label, weight) {
  const colour = cssColour("c" + (1 + index % 10)), values = table.series.get(name);
  const few = table.steps.length <= 40;
  const style = { label, borderColor: colour, backgroundColor: colour, borderWidth: 2, tension: 0, spanGaps: true,
    pointRadius: few && !card.stacked ? 2.5 : 0, pointHoverRadius: 4, pointHitRadius: 6, line: index };
  if (card.stacked) {
    return [{ ...style, data: xy(table.steps, values), borderWidth: 1, backgroundColor: fade(colour, 0.55),
      fill: index === 0 ? "origin" : "-1" }];
  }
  if (weight === 0 || table === data.evals) return [{ ...style, data: xy(table.steps, values) }];
  return [{ ...style, label: "", data: xy(table.steps, values), borderColor: fade(colour, 0.25), borderWidth: 1,
    pointRadius: 0, pointHitRadius: 0, isBand: true },
  { ...style, data: xy(table.steps, smooth(values, weight)), pointRadius: 0 }];
}

function chartOptions(card) {
  const soft = cssColour("soft"), grid = cssColour("grid");
  const ticks = { color: soft, font: { size: 11 }, maxRotation: 0 };
  return {
    animation: false, responsive: true, maintainAspectRatio: false, normalized: true,
    interaction: { mode: "index", intersect: false, axis: "x" },
    scales: {
      x: { type: "linear", ticks: { ...ticks, maxTicksLimit: 7, precision: 0 }, grid: { display: false },
        border: { color: grid } },
      y: { stacked: !!card.stacked, beginAtZero: !!(card.stacked || card.percent),
        suggestedMax: card.percent ? 0.01 : undefined, grid: { color: grid, drawBorder: false },
        ticks: { ...ticks, maxTicksLimit: 6, callback: (value) => formatValue(card, value) } },
    },
    plugins: {
      legend: { display: false },
      tooltip: {
        backgroundColor: cssColour("card"), titleColor: cssColour("text"), bodyColor: cssColour("text"),
        borderColor: cssColour("line"), borderWidth: 1, boxWidth: 8, boxHeight: 8, padding: 9,
        filter: (item) => !item.dataset.isBand,
        callbacks: {
          title: (items) => (items.length ? "step " + formatNumber(items[0].parsed.x) : ""),
          label: (item) => ` ${item.dataset.label}  ${formatValue(card, item.parsed.y)}`,
        },
      },
    },
  };
}

/* The legend: a button a line that shows or hides it. One line needs none. */
function drawLegend(box, chart, card, lines) {
  box.replaceChildren();
  const all = lines.length > 1 || card.band ? lines : [];
  for (const [index, [, label]] of all.entries()) {
    const swatch = element("i");
    swatch.style.background = cssColour("c" + (1 + index % 10));
    const button = element("button", { type: "button", "aria-pressed": "true" }, swatch, label);
    button.addEventListener("click", () => {
      const shown = button.getAttribute("aria-pressed") !== "true";
      button.setAttribute("aria-pressed", String(shown));
      chart.data.datasets.forEach((set, i) => {
        if (set.line === index || (index === 0 && set.isBand && set.line === undefined)) chart.setDatasetVisibility(i, shown);
      });
      chart.update();
    });
    box.append(button);
  }
  if (all.length === 0) box.append(card.unit ?? "");
}

function drawChart(card, canvas, legend, weight) {
  const table = card.from ?? data.metrics;
  const lines = card.lines.filter(([name]) => table.series.get(name)?.some((v) => v !== null && (v !== 0 || !card.stacked)));
  const sets = lines.flatMap(([name, label], index) => lineSets(card, table, index, name, label, weight));
  sets.push(...bandSets(card, table, cssColour("c1")));
  const chart = new Chart(canvas, { type: "line", data: { datasets: sets }, options: chartOptions(card) });
  drawLegend(legend, chart, card, lines);
  return chart;
}

/* ---- the cards ---- */

let drawn = []; /* { card, canvas, legend, chart } */

function redrawCharts() {
  const weight = Number(byId("smoothing").value);
  byId("smoothing-value").textContent = weight ? weight.toFixed(2) : "off";
  for (const item of drawn) {
    item.chart?.destroy();
    item.chart = drawChart(item.card, item.canvas, item.legend, weight);
  }
}

function hasValues(card) {
  const table = card.from ?? data.metrics;
  return card.lines.some(([name]) => table.series.get(name)?.some((v) => v !== null && (v !== 0 || !card.stacked)));
}

/* The class of a card that fills the last row of three. */
function restOfRow() {
  return ["whole", "most", "third"][drawn.filter((item) => !item.card.wide).length % 3];
}

function addCard(card, ...head) {
  const canvas = element("canvas", { role: "img", "aria-label": card.title ?? "any metric" });
  const legend = element("div", { class: "legend" });
  const plot = element("div", { class: "plot" }, canvas);
  byId("charts").append(element("div", { class: card.wide ? "card wide" : card.fill ? "card " + restOfRow() : "card" },
    element("div", { class: "top" }, ...head), legend, plot));
  const item = { card, canvas, legend };
  drawn.push(item);
  return item;
}

/* A card of its own for any metric that the reader selects. */
function addAnyCard() {
  const tables = [data.metrics, data.evals];
  const select = element("select", { "aria-label": "metric" });
  for (const [t, table] of tables.entries()) {
    for (const name of table.series.keys()) select.append(element("option", { value: t + ":" + name }, name));
  }
  if (!select.options.length) return;
  const item = addCard({ lines: [], fill: true }, select);
  const choose = () => {
    const at = select.value.indexOf(":"), name = select.value.slice(at + 1);
    item.card = { title: name, from: tables[Number(select.value.slice(0, at))], lines: [[name, name]] };
    redrawCharts();
  };
  select.value = [...select.options].find((o) => o.value === "0:reward_std")?.value ?? select.options[0].value;
  select.addEventListener("change", choose);
  choose();
}

function showCharts() {
  addOtherTime(data.metrics);
  const wide = chartCards().filter((card) => card.wide && hasValues(card));
  for (const card of chartCards().filter(hasValues)) {
    const table = card.from ?? data.metrics, name = card.total ?? card.lines.find(([n]) => table.series.has(n))[0];
    card.wide = card.wide && wide.length > 1;
    addCard(card, element("h3", {}, card.title), element("span", { class: "last" },
      formatValue(card, lastOf(table.series.get(name)))));
  }
  addAnyCard();
  redrawCharts();
  byId("smoothing").addEventListener("input", redrawCharts);
  const bin = data.metrics.steps_per_point;
  byId("points").textContent = bin > 1 ? `Each point is the mean of ${bin} steps.` : "One point a step.";
}
