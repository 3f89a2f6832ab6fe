/** Colours of the lines: told apart by eye on both grounds, the first one in the colour of the house. */
const LIGHT = ['#0d8f83', '#5b5fe0', '#c96a05', '#d6336c', '#0b7fc2', '#7c3aed', '#5f8a10', '#8a5a44'] as const
const DARK = ['#2dd4bf', '#8b8ff8', '#fbbf24', '#fb7fa6', '#4fc0f5', '#b794f6', '#a3d94a', '#d8a48b'] as const

export const MOST_SERIES = LIGHT.length

export function colourOf(place: number, dark: boolean): string {
  const palette = dark ? DARK : LIGHT
  return palette[place % palette.length]!
}
