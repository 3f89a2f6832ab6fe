/** The chart's options and data for uPlot. Pure apart from reading the page's colours, which are handed in. */
import uPlot from 'uplot'
import { axisLabels } from '@/time/format'
import { aligned, broken, type Column, type Points } from './series'
import { formatValue } from './units'

export interface ChartSeries {
  key: string
  label: string
  unit: string | null
  colour: string
  /** True for series of yes and no, drawn in steps. */
  steps: boolean
  points: Points
  gapS: number
  /** What the axis shows in any case, such as the zero of a rate. */
  floor?: number
}

export interface Inks {
  text: string
  grid: string
  surface: string
}

const MOST_BANDS = 2
const FONT = '12px "Inter Variable", system-ui, sans-serif'

const scaleOf = (series: ChartSeries): string => (series.steps ? 'steps' : (series.unit ?? 'plain'))

function hasBand(series: ChartSeries, all: ChartSeries[]): boolean {
  return all.length <= MOST_BANDS && !series.steps && series.points.low.length > 0
}

/** A change of this text means that the chart has to be built anew; otherwise new data will do. */
export function shapeOf(all: ChartSeries[]): string {
  return all.map((one) => [one.key, one.unit, one.colour, one.steps, hasBand(one, all)].join('|')).join('\n')
}

export function chartData(all: ChartSeries[]): uPlot.AlignedData {
  const columns: { t: number[]; values: Column }[] = []
  for (const one of all) {
    const line = broken(one.points, one.gapS)
    columns.push({ t: line.t, values: line.v })
    if (hasBand(one, all)) columns.push({ t: line.t, values: line.high }, { t: line.t, values: line.low })
  }
  return aligned(columns) as uPlot.AlignedData
}

/** In the data, where each series' own line is: bands take two columns more. */
export function lineColumns(all: ChartSeries[]): number[] {
  let column = 1
  return all.map((one) => {
    const mine = column
    column += hasBand(one, all) ? 3 : 1
    return mine
  })
}

export function chartOptions(
  all: ChartSeries[],
  inks: Inks,
  size: { width: number; height: number },
  hooks: uPlot.Hooks.Arrays,
): uPlot.Options {
  const series: uPlot.Series[] = [{}]
  const bands: uPlot.Band[] = []
  for (const one of all) {
    series.push(lineOf(one))
    if (hasBand(one, all)) {
      const edge = { scale: scaleOf(one), stroke: 'transparent', width: 0, points: { show: false } }
      series.push({ ...edge }, { ...edge })
      bands.push({ series: [series.length - 2, series.length - 1], fill: `${one.colour}26` })
    }
  }
  return {
    ...size,
    padding: [10, 8, 0, 0],
    legend: { show: false },
    series,
    bands,
    scales: scalesOf(all),
    axes: axesOf(all, inks),
    hooks,
    cursor: {
      y: false,
      drag: { x: true, y: false, setScale: false },
      bind: { dblclick: () => null },
      points: { size: 8, width: 2, stroke: (_u, i) => String(series[i]?.stroke ?? ''), fill: (_u, i) => (series[i]?.width === 0 ? 'transparent' : inks.surface) },
      dataIdx: (u, i, hovered) => nearest(u.data[i] as Column, hovered),
    },
  }
}

function lineOf(one: ChartSeries): uPlot.Series {
  return {
    label: one.label,
    scale: scaleOf(one),
    stroke: one.colour,
    width: 1.75,
    ...(one.steps ? { paths: uPlot.paths.stepped!({ align: 1 }) } : {}),
    points: { size: 5, fill: one.colour, width: 0, filter: lonely },
  }
}

/** Points without a neighbour would draw no line, so they are drawn as dots. */
function lonely(u: uPlot, i: number, show: boolean): number[] | null {
  if (show) return null
  const column = u.data[i] as Column
  const found: number[] = []
  let before: number | null | undefined = null
  column.forEach((value, at) => {
    if (value === undefined) return
    if (value !== null && before === null && following(column, at) === null) found.push(at)
    before = value
  })
  return found
}

function following(column: Column, at: number): number | null {
  for (let i = at + 1; i < column.length; i += 1) {
    if (column[i] !== undefined) return column[i] as number | null
  }
  return null
}

/** The place nearest to the pointer at which this series has a point; the common axis has others' points too. */
function nearest(column: Column, hovered: number): number {
  for (let away = 0; away < column.length; away += 1) {
    if (column[hovered - away] !== undefined) return hovered - away
    if (column[hovered + away] !== undefined) return hovered + away
  }
  return hovered
}

function scalesOf(all: ChartSeries[]): uPlot.Scales {
  const scales: uPlot.Scales = { x: { time: true } }
  for (const one of all) {
    scales[scaleOf(one)] = one.steps
      ? { range: [-0.15, 1.15] }
      : { range: (_u, low, high) => (low == null ? [0, 1] : padded(Math.min(low, one.floor ?? low), high)) }
  }
  return scales
}

/** A tenth of air above and below, and a span of some size for a line that is flat. */
export function padded(low: number, high: number): [number, number] {
  const flat = high - low < Math.abs(high) * 1e-6 || high === low
  const air = flat ? Math.max(Math.abs(high) * 0.05, 0.5) : (high - low) * 0.1
  // Quantities that are never negative do not get a negative axis.
  return [low >= 0 ? Math.max(0, low - air) : low - air, high + air]
}

function axesOf(all: ChartSeries[], inks: Inks): uPlot.Axis[] {
  const common = {
    stroke: inks.text,
    font: FONT,
    grid: { stroke: inks.grid, width: 1 },
    ticks: { show: false },
  }
  const axes: uPlot.Axis[] = [
    { ...common, space: 72, gap: 6, size: 42, values: (_u, splits, _axis, _space, step) => axisLabels(splits, step) },
  ]
  const scales = [...new Set(all.map(scaleOf))].slice(0, 2)
  scales.forEach((scale, place) => {
    axes.push({
      ...common,
      scale,
      side: place === 0 ? 3 : 1,
      gap: 6,
      space: 36,
      size: (u, labels) => widthOf(u, labels),
      grid: place === 0 ? common.grid : { show: false },
      ...(scale === 'steps' ? { splits: [0, 1] } : {}),
      values: (_u, splits) => splits.map((split) => (scale === 'steps' ? formatValue(split === 1) : formatValue(rounded(split)))),
    })
  })
  return axes
}

const rounded = (value: number): number => Number(value.toPrecision(6))

function widthOf(u: uPlot, labels: string[] | null): number {
  const longest = (labels ?? []).reduce((a, b) => (b.length > a.length ? b : a), '')
  u.ctx.save()
  u.ctx.font = FONT
  const width = u.ctx.measureText(longest).width
  u.ctx.restore()
  return Math.ceil(width) + 16
}
