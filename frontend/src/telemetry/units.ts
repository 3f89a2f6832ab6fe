/** What a series is called and measured in, read from its key: `cpu_temp_c` is "CPU temperature" in °C. Pure. */
import type { Value } from '@/api/types'

const SUFFIXES: [suffix: string, unit: string][] = [
  ['_celsius', '°C'],
  ['_fahrenheit', '°F'],
  ['_percent', '%'],
  ['_pct', '%'],
  ['_mhz', 'MHz'],
  ['_ghz', 'GHz'],
  ['_hz', 'Hz'],
  ['_bytes', 'B'],
  ['_kb', 'KB'],
  ['_mb', 'MB'],
  ['_gb', 'GB'],
  ['_hpa', 'hPa'],
  ['_kpa', 'kPa'],
  ['_pa', 'Pa'],
  ['_ppm', 'ppm'],
  ['_ppb', 'ppb'],
  ['_lux', 'lx'],
  ['_lx', 'lx'],
  ['_dbm', 'dBm'],
  ['_db', 'dB'],
  ['_rpm', 'rpm'],
  ['_kwh', 'kWh'],
  ['_wh', 'Wh'],
  ['_kw', 'kW'],
  ['_mv', 'mV'],
  ['_ma', 'mA'],
  ['_ms', 'ms'],
  ['_mm', 'mm'],
  ['_cm', 'cm'],
  ['_km', 'km'],
  ['_kg', 'kg'],
  ['_deg', '°'],
  ['_c', '°C'],
  ['_f', '°F'],
  ['_v', 'V'],
  ['_a', 'A'],
  ['_w', 'W'],
  ['_s', 's'],
  ['_h', 'h'],
  ['_m', 'm'],
  ['_g', 'g'],
  ['_l', 'L'],
]

const WORDS: Record<string, string> = {
  temp: 'temperature',
  hum: 'humidity',
  mem: 'memory',
  bat: 'battery',
  batt: 'battery',
  cpu: 'CPU',
  gpu: 'GPU',
  ram: 'RAM',
  rssi: 'RSSI',
  rss: 'memory',
  snr: 'SNR',
  co2: 'CO₂',
  tvoc: 'TVOC',
  pm25: 'PM2.5',
  pm10: 'PM10',
  freq: 'frequency',
  net: 'network',
  rx: 'received',
  tx: 'sent',
  soc: 'state of charge',
  '1m': '1 min',
  '5m': '5 min',
  '15m': '15 min',
}

function split(key: string): { stem: string; unit: string | null } {
  const lower = key.toLowerCase()
  for (const [suffix, unit] of SUFFIXES) {
    if (lower.endsWith(suffix) && lower.length > suffix.length) {
      return { stem: key.slice(0, -suffix.length), unit }
    }
  }
  return { stem: key, unit: null }
}

export function unitOf(key: string, given?: string | null): string | null {
  return given || split(key).unit
}

/** A label for people; the key itself stays visible elsewhere. */
export function labelOf(key: string): string {
  const words = split(key)
    .stem.replace(/([a-z])([A-Z])/g, '$1 $2')
    .split(/[\s_.\-:/]+/)
    .filter(Boolean)
    .map((word) => WORDS[word.toLowerCase()] ?? word.toLowerCase())
  const label = words.join(' ') || key
  return label.charAt(0).toUpperCase() + label.slice(1)
}

/** A value as short as it can be without lying: three to four significant digits, thousands grouped. */
export function formatValue(value: Value | null | undefined): string {
  if (value === null || value === undefined) return '–'
  if (typeof value === 'boolean') return value ? 'On' : 'Off'
  if (!Number.isFinite(value)) return '–'
  const size = Math.abs(value)
  if (Number.isInteger(value) && size < 1e9) return value.toLocaleString('en-US').replaceAll(',', '\u202f')
  if (size !== 0 && (size >= 1e9 || size < 1e-3)) return value.toExponential(2)
  const digits = size >= 1_000 ? 0 : size >= 100 ? 1 : size >= 1 ? 2 : 3
  const text = value.toFixed(digits)
  const short = text.includes('.') ? text.replace(/\.?0+$/, '') : text
  return Number(short).toLocaleString('en-US', { maximumFractionDigits: digits }).replaceAll(',', '\u202f')
}

/** Value and unit together: percent and degrees stand by the number as the unit's own rules say. */
export function withUnit(value: Value | null | undefined, unit: string | null): string {
  const text = formatValue(value)
  if (unit === null || typeof value === 'boolean' || text === '–') return text
  return unit === '°' ? text + unit : `${text}\u00a0${unit}`
}
