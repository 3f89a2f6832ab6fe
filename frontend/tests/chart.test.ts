import { describe, expect, it } from 'vitest'
import { padded } from '@/telemetry/chart'
import { passwordRules } from '@/account/password'
import { fieldErrors } from '@/api/problems'
import { rangeById, windowStart } from '@/telemetry/ranges'

describe('axes', () => {
  it('leave air, and stay above zero for what is never below', () => {
    expect(padded(10, 20)).toEqual([9, 21])
    expect(padded(0, 10)).toEqual([0, 11])
    expect(padded(5, 5)).toEqual([4.5, 5.5])
    expect(padded(-5, 5)).toEqual([-6, 6])
  })
})

describe('passwords', () => {
  it('are measured as they are typed', () => {
    expect(passwordRules('Test1234!', 'me@example.org').every((rule) => rule.met)).toBe(true)
    expect(passwordRules('me@example.org', 'me@example.org').map((rule) => rule.met)).toEqual([true, false, true])
    expect(passwordRules('', '').some((rule) => rule.met)).toBe(false)
  })
})

describe('refusals', () => {
  it('find the field that they speak of', () => {
    expect(fieldErrors([{ pointer: '/body/name', detail: 'Too long.' }, { pointer: '/body/name', detail: 'Other.' }])).toEqual({
      name: 'Too long.',
    })
  })
})

describe('the window of the chart', () => {
  const now = 1_000_000

  it('is the range, or as old as a young device', () => {
    expect(windowStart(now, rangeById('15m'), 0)).toBe(now - 900)
    expect(windowStart(now, rangeById('15m'), now - 300)).toBe(now - 305)
    expect(windowStart(now, rangeById('15m'), now - 2)).toBe(now - 60)
    expect(windowStart(now, rangeById('24h'), now - 300)).toBe(now - 86_400)
  })
})
