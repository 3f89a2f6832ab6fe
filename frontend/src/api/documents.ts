/** JSON objects as people type them. Pure. */

export type Json = null | boolean | number | string | Json[] | Document
export interface Document {
  [name: string]: Json
}

/** A document as somebody typed it, or a sentence that says what is wrong. */
export function parseDocument(text: string): Document | string {
  let value: unknown
  try {
    value = JSON.parse(text.trim() || '{}')
  } catch {
    return 'This is not JSON yet.'
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return 'It has to be an object: { … }'
  return value as Document
}
