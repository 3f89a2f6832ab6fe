import { describe, expect, it } from 'vitest'
import type { Bridge } from '@/bridges/queries'
import { heardText, sourceOf, triedText } from '@/bridges/words'

describe('a bridge in words', () => {
  it('takes what is left empty for what is usual', () => {
    expect(sourceOf({ topic: ' z/{device} ', device_uid: '', key: '' })).toEqual({ topic: 'z/{device}', device_uid: '{device}', key: null })
    expect(sourceOf({ topic: 'z/{n}', device_uid: 'z-{n}', key: 'on' })).toEqual({ topic: 'z/{n}', device_uid: 'z-{n}', key: 'on' })
  })

  it('says what would become of a message, or why nothing does', () => {
    const taken = { device_uid: 'kitchen', event_type: null, readings: { t: 21.5, on: true }, observed_at: null, reason: null }
    expect(triedText(taken)).toBe('kitchen: t = 21.5, on = true')
    expect(triedText({ ...taken, reason: 'It holds no number.' })).toBe('It holds no number.')
  })

  it('counts who was heard', () => {
    const bridge = { sources: [{}], devices: 1 } as Bridge
    expect(heardText(bridge)).toBe('One device was heard.')
    expect(heardText({ ...bridge, devices: 0 })).toBe('No device was heard yet.')
    expect(heardText({ ...bridge, devices: 3 })).toBe('3 devices were heard.')
    expect(heardText({ ...bridge, sources: [] })).toBe('It takes no messages.')
  })
})
