"use strict";
(() => {
  const data = JSON.parse(document.getElementById("trial-data").textContent);
  const { columns, rows, arms, curves } = data;
  const find = (id) => document.getElementById(id);
  const table = find("explorer");
  if (!table || !rows.length) return;
  const trialColumn = columns.length - 1;
  const STEP = 100;
  const palette = ["#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#7f6a00", "#777777"];
  const dark = matchMedia("(prefers-color-scheme: dark)");
  const bright = { 0: "#4aa8e0", 1: "#ff8a3d", 2: "#2fc79b", 7: "#aaaaaa" };
  const colourOf = (arm) => {
    const at = arms.indexOf(arm) % palette.length;
    return (dark.matches && bright[at]) || palette[at];
  };
  const isNumeric = columns.map((_, c) => rows.every((row) => row[c] === null || typeof row[c] === "number"));
  const state = { sort: -1, down: false, shown: STEP, query: "", ranges: new Map(), ticked: new Set(data.chosen.slice(0, 30)) };

  const element = (name, attributes = {}, ...children) => {
    const made = document.createElement(name);
    for (const [key, value] of Object.entries(attributes)) {
      if (key in made && typeof value !== "string") made[key] = value;
      else made.setAttribute(key, value);
    }
    made.append(...children);
    return made;
  };
  const drawn = (name, attributes, ...children) => {
    const made = document.createElementNS("http://www.w3.org/2000/svg", name);
    for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
    made.append(...children);
    return made;
  };
  const say = (value) => (value === null ? "-" : typeof value === "number" ? String(value) : value);

  // A filter is words, each found somewhere in a row, and conditions such as lr>0.001 or arm=fine_tuning.
  const compile = (query) =>
    query.split(/\s+/).filter(Boolean).map((term) => {
      const parts = /^(.+?)(<=|>=|!=|=|<|>)(.+)$/.exec(term);
      const column = parts ? columns.findIndex((c) => c.name === parts[1]) : -1;
      if (column < 0) return (row) => row.some((value) => value !== null && String(value).includes(term));
      const [, , operator, text] = parts;
      const number = Number(text);
      return (row) => {
        const value = row[column];
        if (value === null) return false;
        const order = typeof value === "number" && !Number.isNaN(number) ? value - number : String(value).localeCompare(text);
        return { "=": order === 0, "!=": order !== 0, "<": order < 0, ">": order > 0, "<=": order <= 0, ">=": order >= 0 }[operator];
      };
    });

  const passing = () => {
    const terms = compile(state.query);
    const inside = ([column, [low, high]], row) => {
      const at = axes.find((axis) => axis.column === column).place(row[column]);
      return at !== null && at >= low && at <= high;
    };
    return rows.map((_, index) => index).filter((index) => {
      const row = rows[index];
      return terms.every((term) => term(row)) && [...state.ranges].every((range) => inside(range, row));
    });
  };
  const sorted = (indices) => {
    if (state.sort < 0) return indices;
    const c = state.sort;
    const compare = (a, b) => (isNumeric[c] ? a - b : String(a).localeCompare(String(b), "en", { numeric: true }));
    return indices.slice().sort((i, j) => {
      const [a, b] = [rows[i][c], rows[j][c]];
      if (a === null || b === null) return (a === null) - (b === null) || i - j;
      return (state.down ? -1 : 1) * compare(a, b) || i - j;
    });
  };

  // The table.
  const head = element("tr", {}, element("th", { scope: "col" }, element("span", { "aria-label": "Show curves" }, "\u00a0")));
  const buttons = columns.map((column, c) => {
    const button = element("button", { type: "button" }, column.name);
    button.addEventListener("click", () => {
      const best = column.metric ? data.maximize : false;
      state.down = state.sort === c ? !state.down : best;
      state.sort = c;
      update();
    });
    head.append(element("th", { scope: "col", class: isNumeric[c] ? "number" : "" }, button));
    return button;
  });
  const body = element("tbody");
  table.append(element("thead", {}, head), body);

  const tick = (index, on) => {
    if (on) state.ticked.add(index);
    else state.ticked.delete(index);
    update();
  };
  const line = (index) => {
    const row = rows[index];
    const box = element("input", { type: "checkbox", checked: state.ticked.has(index), "aria-label": "Show curves of " + row[trialColumn] });
    box.addEventListener("change", () => {
      tick(index, box.checked);
      body.querySelector(`tr[data-index="${index}"] input`)?.focus();
    });
    const classes = [state.ticked.has(index) ? "ticked" : "", data.chosen.includes(index) ? "chosen" : ""].join(" ");
    const cells = row.map((value, c) => element("td", { class: isNumeric[c] ? "number" : "", title: say(value) }, say(value)));
    return element("tr", { class: classes, "data-index": String(index) }, element("td", {}, box), ...cells);
  };

  // Parallel coordinates: an axis a parameter that differs, the metrics and the time. Drag along an axis to filter by it.
  const size = { width: 960, height: 300, top: 34, bottom: 22, side: 60 };
  const axes = columns.map((column, c) => ({ column: c, name: column.name, axis: column.axis })).filter((a) => {
    const values = [...new Set(rows.map((row) => row[a.column]).filter((v) => v !== null))];
    if (!a.axis || values.length < 2) return false;
    if (isNumeric[a.column]) {
      const low = Math.min(...values), high = Math.max(...values);
      const log = low > 0 && high / low >= 50;
      const scale = log ? Math.log : (v) => v;
      a.place = (value) => (value === null ? null : (scale(value) - scale(low)) / (scale(high) - scale(low)));
      a.ends = [low, high];
    } else {
      values.sort();
      a.place = (value) => (value === null ? null : values.indexOf(value) / (values.length - 1));
      a.ends = [values[0], values[values.length - 1]];
    }
    return true;
  });
  const paths = [];
  const brushes = new Map();
  const drawParallel = () => {
    const host = find("parallel");
    if (axes.length < 2) return;
    const svg = drawn("svg", { viewBox: `0 0 ${size.width} ${size.height}`, role: "img", "aria-label": "Parallel coordinates of the trials; the table holds the same" });
    const x = (i) => size.side + (i * (size.width - 2 * size.side)) / (axes.length - 1);
    const y = (place) => size.height - size.bottom - place * (size.height - size.top - size.bottom);
    const lines = drawn("g", {});
    rows.forEach((row, index) => {
      const points = axes.map((axis, i) => [x(i), axis.place(row[axis.column])]).filter(([, place]) => place !== null);
      const path = drawn("path", { d: "M" + points.map(([px, place]) => `${px.toFixed(1)} ${y(place).toFixed(1)}`).join("L"), stroke: colourOf(row[0]) });
      path.append(drawn("title", {}, row[trialColumn]));
      paths[index] = path;
      lines.append(path);
    });
    svg.append(lines);
    axes.forEach((axis, i) => {
      const edge = i === 0 ? "start" : i === axes.length - 1 ? "end" : "middle";
      const shift = i === 0 ? -size.side + 2 : i === axes.length - 1 ? size.side - 2 : 0;
      const text = (at, what) => drawn("text", { x: x(i) + shift, y: at, "text-anchor": edge }, what);
      const short = (value) => (typeof value === "number" ? String(Number(value.toPrecision(3))) : String(value).slice(0, 18));
      const brush = drawn("rect", { class: "brush", x: x(i) - 9, width: 18, height: 0, y: 0 });
      const grip = drawn("rect", { class: "grip", x: x(i) - 16, width: 32, y: size.top, height: size.height - size.top - size.bottom });
      svg.append(drawn("line", { class: "axis", x1: x(i), x2: x(i), y1: y(0), y2: y(1) }), text(12, axis.name), text(27, short(axis.ends[1])), text(size.height - 6, short(axis.ends[0])), brush, grip);
      brushes.set(axis.column, (range) => {
        brush.setAttribute("y", range ? y(range[1]) : 0);
        brush.setAttribute("height", range ? y(range[0]) - y(range[1]) : 0);
      });
      let from = null;
      const place = (event) => {
        const box = svg.getBoundingClientRect();
        const at = ((event.clientY - box.top) / box.height) * size.height;
        return Math.min(1, Math.max(0, (size.height - size.bottom - at) / (size.height - size.top - size.bottom)));
      };
      grip.addEventListener("pointerdown", (event) => {
        from = place(event);
        grip.setPointerCapture(event.pointerId);
      });
      grip.addEventListener("pointermove", (event) => {
        if (from === null) return;
        const to = place(event);
        if (Math.abs(to - from) < 0.02) state.ranges.delete(axis.column);
        else state.ranges.set(axis.column, [Math.min(from, to), Math.max(from, to)]);
        update();
      });
      const end = () => {
        // A click without a drag takes the range away.
        from = null;
      };
      grip.addEventListener("pointerup", end);
      grip.addEventListener("pointercancel", end);
      grip.addEventListener("click", (event) => event.detail === 2 && state.ranges.delete(axis.column) && update());
    });
    host.replaceChildren(svg);
  };

  // Curves.
  const names = [...new Set(Object.values(curves).flatMap((curve) => Object.keys(curve)))].sort();
  const metric = find("metric");
  names.forEach((name) => metric.append(element("option", { value: name }, name)));
  if (names.includes("val/accuracy")) metric.value = "val/accuracy";
  find("curves").hidden = names.length === 0;
  let plot = null;
  let drawnFor = "";
  const drawCurves = () => {
    const wanted = [...state.ticked].sort((a, b) => a - b).filter((index) => curves[rows[index][trialColumn]]?.[metric.value]).slice(0, 60);
    const host = find("plot");
    const width = Math.max(280, host.clientWidth || 600);
    const key = [metric.value, width, dark.matches, ...wanted].join();
    if (key === drawnFor) return;
    drawnFor = key;
    plot?.destroy();
    plot = null;
    if (!wanted.length || !names.length) {
      host.replaceChildren(element("p", {}, "Tick trials in the table to see their curves."));
      return;
    }
    host.replaceChildren();
    const style = getComputedStyle(document.documentElement);
    const [ink, grid] = ["--text", "--line"].map((name) => style.getPropertyValue(name).trim());
    const values = wanted.map((index) => curves[rows[index][trialColumn]][metric.value]);
    const epochs = Array.from({ length: Math.max(...values.map((v) => v.length)) }, (_, i) => i + 1);
    const padded = values.map((v) => epochs.map((_, i) => v[i] ?? null));
    const axis = { stroke: ink, grid: { stroke: grid, width: 1 }, ticks: { stroke: grid, width: 1 }, font: "12px system-ui, sans-serif" };
    const dashes = [[], [6, 4], [2, 3], [10, 4, 2, 4]];
    const nth = new Map();
    const series = wanted.map((index) => {
      const arm = rows[index][0];
      nth.set(arm, (nth.get(arm) ?? -1) + 1);
      const value = (_, v) => (v == null ? "-" : String(v));
      return { label: rows[index][trialColumn], stroke: colourOf(arm), width: 2, dash: dashes[nth.get(arm) % dashes.length], points: { show: epochs.length < 3 }, value };
    });
    plot = new uPlot({ width, height: 320, scales: { x: { time: false } }, axes: [{ ...axis, label: "epoch" }, { ...axis, size: 60 }], series: [{ label: "epoch" }, ...series], cursor: { focus: { prox: 24 } }, focus: { alpha: 0.25 }, legend: { live: true } }, [epochs, ...padded], host);
  };

  const update = () => {
    const indices = sorted(passing());
    body.replaceChildren(...indices.slice(0, state.shown).map(line));
    find("count").textContent = `${indices.length} of ${rows.length} trials`;
    const more = find("more");
    more.hidden = indices.length <= state.shown;
    more.textContent = `Show ${Math.min(STEP, indices.length - state.shown)} more`;
    buttons.forEach((button, c) => {
      const here = state.sort === c;
      button.textContent = columns[c].name + (here ? (state.down ? " \u2193" : " \u2191") : "");
      button.parentElement.setAttribute("aria-sort", here ? (state.down ? "descending" : "ascending") : "none");
    });
    const kept = new Set(indices);
    paths.forEach((path, index) => path.setAttribute("class", kept.has(index) ? (state.ticked.has(index) ? "ticked" : "") : "out"));
    brushes.forEach((show, column) => show(state.ranges.get(column)));
    drawCurves();
  };

  find("filter").hidden = false;
  find("filter").addEventListener("submit", (event) => event.preventDefault());
  find("filter").addEventListener("reset", () => {
    state.query = "";
    state.ranges.clear();
    update();
  });
  find("query").addEventListener("input", (event) => {
    state.query = event.target.value;
    state.shown = STEP;
    update();
  });
  find("more").addEventListener("click", () => {
    state.shown += STEP;
    update();
  });
  metric.addEventListener("change", drawCurves);
  addEventListener("resize", drawCurves);
  dark.addEventListener("change", () => {
    drawParallel();
    update();
  });
  drawParallel();
  update();
})();
