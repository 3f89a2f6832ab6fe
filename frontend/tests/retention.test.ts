import { describe, expect, it } from 'vitest'
import { aboutText, daysOf, keptText } from '@/retention/words'

describe('how long telemetry is kept', () => {
  it('says what a policy is about', () => {
    expect(aboutText({ device_type: null, key_pattern: null })).toBe('Everything')
    expect(aboutText({ device_type: 'meter', key_pattern: null })).toBe('Everything from devices of type meter')
    expect(aboutText({ device_type: 'meter', key_pattern: 'debug.*' })).toBe('debug.* from devices of type meter')
  })

  it('says for how long', () => {
    expect([null, 1, 30].map(keptText)).toEqual(['for ever', '1 day', '30 days'])
  })

  it('takes whole days that the hub takes', () => {
    expect(['1', ' 365 ', '36500', '0', '36501', '1.5', '-3', '', 'week'].map(daysOf)).toEqual([
      1, 365, 36_500, undefined, undefined, undefined, undefined, undefined, undefined,
    ])
  })
})
