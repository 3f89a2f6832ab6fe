import { describe, expect, it } from 'vitest'
import { formatValue, labelOf, unitOf, withUnit } from '@/telemetry/units'

describe('units', () => {
  it.each([
    ['temp_c', '°C'],
    ['cpu_percent', '%'],
    ['memory_used_mb', 'MB'],
    ['pressure_hpa', 'hPa'],
    ['rssi_dbm', 'dBm'],
    ['uptime_s', 's'],
    ['load_1m', null],
    ['count', null],
    ['_c', null],
  ])('reads the unit of %s', (key, unit) => {
    expect(unitOf(key)).toBe(unit)
  })

  it('believes the device before the key', () => {
    expect(unitOf('temp_c', 'K')).toBe('K')
  })

  it.each([
    ['temp_c', 'Temperature'],
    ['cpu_temp_c', 'CPU temperature'],
    ['cpu.percent', 'CPU percent'],
    ['memory_used_mb', 'Memory used'],
    ['co2_ppm', 'CO₂'],
    ['outsideTemp', 'Outside temperature'],
  ])('calls %s %s', (key, label) => {
    expect(labelOf(key)).toBe(label)
  })

  it.each([
    [21.456, '21.46'],
    [21.0, '21'],
    [20.5, '20.5'],
    [120.44, '120.4'],
    [1234.5, '1\u202f235'],
    [0.1234, '0.123'],
    [100, '100'],
    [-0.5, '-0.5'],
    [123456, '123\u202f456'],
    [5e12, '5.00e+12'],
    [true, 'On'],
    [null, '–'],
    [Number.NaN, '–'],
  ])('writes %s as %s', (value, text) => {
    expect(formatValue(value)).toBe(text)
  })

  it('puts no unit behind yes and no', () => {
    expect(withUnit(true, 'V')).toBe('On')
    expect(withUnit(21.5, '°C')).toBe('21.5\u00a0°C')
  })
})
