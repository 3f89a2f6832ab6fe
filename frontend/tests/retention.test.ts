import { describe, expect, it } from 'vitest'
import { aboutText, daysOf, keptText, thenText } from '@/retention/words'

describe('how long telemetry is kept', () => {
  it('says what a policy is about', () => {
    expect(aboutText({ device_type: null, key_pattern: null })).toBe('Everything')
    expect(aboutText({ device_type: 'meter', key_pattern: null })).toBe('Everything from devices of type meter')
    expect(aboutText({ device_type: 'meter', key_pattern: 'debug.*' })).toBe('debug.* from devices of type meter')
  })

  it('says for how long', () => {
    expect([null, 1, 30].map(keptText)).toEqual(['for ever', '1 day', '30 days'])
  })

  it('says what stays', () => {
    expect(thenText({ bucket: '5m', for_days: 730 })).toBe('then buckets of 5 minutes, 730 days more')
    expect(thenText({ bucket: '1d', for_days: null })).toBe('then buckets of 1 day, for ever')
  })

  it('takes whole days that the hub takes', () => {
    expect(['1', ' 365 ', '36500', '0', '36501', '1.5', '-3', '', 'week'].map(daysOf)).toEqual([
      1, 365, 36_500, undefined, undefined, undefined, undefined, undefined, undefined,
    ])
  })
})
