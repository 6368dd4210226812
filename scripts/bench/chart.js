import { createRequire } from 'node:module';
import { Resvg } from '@resvg/resvg-js';
import * as vega from 'vega';
import { compile } from 'vega-lite';

/** @import { TopLevelSpec } from 'vega-lite' */
/** @import { Bench, ContestantReport, ScalingSeries } from './types.js' */

const FONT = 'DejaVu Sans';
const OURS = '#0b7a75';
const OTHERS = '#9aa5b1';

/**
 * @param {Bench} bench
 * @returns {Promise<{ svg: string, png: Uint8Array }>}
 */
export async function drawChart(bench) {
  const { spec } = compile(chartOf(bench));
  const view = new vega.View(vega.parse(spec), { renderer: 'none' });
  const svg = await view.toSVG();
  // Its font comes along: the machine may have none.
  const font = createRequire(import.meta.url).resolve('dejavu-fonts-ttf/ttf/DejaVuSans.ttf');
  const bold = createRequire(import.meta.url).resolve('dejavu-fonts-ttf/ttf/DejaVuSans-Bold.ttf');
  const picture = new Resvg(svg, {
    fitTo: { mode: 'zoom', value: 2 },
    background: 'white',
    font: { loadSystemFonts: false, fontFiles: [font, bold], defaultFontFamily: FONT },
  });
  return { svg, png: picture.render().asPng() };
}

/**
 * @param {Bench} bench
 * @returns {TopLevelSpec}
 */
function chartOf(bench) {
  const panels = panelsOf(bench.scaling);
  const { imageSize, batchSize, threads } = bench.settings;
  return {
    $schema: 'https://vega.github.io/schema/vega-lite/v6.json',
    background: 'white',
    padding: 16,
    config: {
      font: FONT,
      axis: {
        labelFontSize: 11,
        titleFontSize: 11,
        titleFontWeight: 'normal',
        gridColor: '#e8ebee',
      },
      title: { fontSize: 13, subtitleFontSize: 11, anchor: 'start', subtitleColor: '#52606d' },
      axisY: { labelLimit: 400 },
      legend: { labelFontSize: 11 },
      view: { stroke: null },
    },
    concat: [
      {
        title: {
          text: 'Training pictures a second, later epochs',
          subtitle:
            `${imageSize} pixels, batches of ${batchSize}, ${threads} threads, ${bench.machine.cpu}; ` +
            "logarithmic; ×: the article's loop",
        },
        ...barsOf(bench.contestants),
      },
      ...[panels.slice(0, 2), panels.slice(2)].flatMap((row) =>
        row.length > 0
          ? [{ hconcat: row, spacing: 40, resolve: { legend: { color: 'independent' } } }]
          : [],
      ),
    ],
    columns: 1,
    align: 'none',
    bounds: 'full',
    spacing: 28,
  };
}

/**
 * @param {ContestantReport[]} contestants
 * @returns {any}
 */
function barsOf(contestants) {
  const reference = contestants.find(({ name }) => name === 'reference')?.imagesPerSecond.train;
  const values = contestants.flatMap(({ title, name, imagesPerSecond: { train }, verdict }) => {
    if (!train) return [];
    const ratio = reference ? ` · ${digits(train.median / reference.median)}×` : '';
    const mark = verdict.agrees === false ? ' · losses differ' : '';
    const label = `${digits(train.median)}${ratio}${mark}`;
    return [{ title, rate: train.median, label, ours: name.startsWith('ours') }];
  });
  const rates = values.map(({ rate }) => rate);
  const least = 10 ** Math.floor(Math.log10(Math.min(...rates, 1)) - 0.2); // a bar's foot
  const most = Math.max(...rates, 1) * 8; // room for the label
  const x = {
    field: 'rate',
    type: 'quantitative',
    title: null,
    scale: { type: 'log', domain: [least, most], nice: false },
    axis: { format: '~g', values: powersOfTen(least, most) },
  };
  const y = {
    field: 'title',
    type: 'nominal',
    sort: '-x',
    title: null,
    axis: { ticks: false, domain: false },
  };
  return {
    width: 520,
    height: { step: 26 },
    data: { values },
    layer: [
      {
        mark: { type: 'bar', height: 17 },
        encoding: {
          x,
          y,
          x2: { datum: least },
          color: { condition: { test: 'datum.ours', value: OURS }, value: OTHERS },
        },
      },
      {
        mark: { type: 'text', align: 'left', dx: 5, fontSize: 11 },
        encoding: { x, y, text: { field: 'label' } },
      },
    ],
  };
}

/**
 * A panel for each axis: how fast, against what grows.
 *
 * @param {ScalingSeries[]} scaling
 * @returns {any[]}
 */
function panelsOf(scaling) {
  const axes = [...new Set(scaling.map(({ axis }) => axis))];
  return axes.map((axis) => {
    const series = scaling.filter((one) => one.axis === axis);
    const values = series.flatMap(({ series, points }) =>
      points.flatMap(({ x, imagesPerSecond }) =>
        // Linear growth in pixels is a level line.
        imagesPerSecond
          ? [{ x, series, y: imagesPerSecond.median * (axis === 'image size' ? x * x * 1e-6 : 1) }]
          : [],
      ),
    );
    const unit = axis === 'image size' ? 'megapixels a second' : 'pictures a second';
    const fixed = Object.entries(series[0]?.fixed ?? {}).map(([name, value]) => {
      const names = { pictures: 'pictures', imageSize: 'pixels', batchSize: 'a batch' };
      return `${value} ${names[/** @type {keyof typeof names} */ (name)] ?? name}`;
    });
    return {
      title: { text: `${unit}, by ${axis}`, subtitle: fixed.join(', ') },
      width: 330,
      height: 130,
      data: { values },
      mark: { type: 'line', point: series.length > 1 || { color: OURS }, color: OURS },
      encoding: {
        x: {
          field: 'x',
          type: 'quantitative',
          title: axis,
          scale: { type: 'log', nice: false },
          axis: { values: [...new Set(values.map(({ x }) => x))], format: '~s', grid: false },
        },
        y: { field: 'y', type: 'quantitative', title: null, scale: { zero: true } },
        ...(series.length > 1 && {
          color: {
            field: 'series',
            type: 'nominal',
            title: null,
            scale: { range: [OURS, '#d9822b'] },
            legend: { orient: 'bottom' },
          },
        }),
      },
    };
  });
}

/**
 * @param {number} least
 * @param {number} most
 */
function powersOfTen(least, most) {
  const powers = [];
  for (let power = least; power <= most; power *= 10) powers.push(power);
  return powers;
}

/** @param {number} value */
function digits(value) {
  return value >= 100 ? value.toFixed(0) : `${Number(value.toPrecision(2))}`;
}
