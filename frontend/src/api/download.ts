/** Files that the browser saves: made here, or read from the hub with the token that a plain link would not carry. */
import { API } from './hub'
import { HubAway, problemOf } from './problems'
import { freshToken } from './session'

export function saveText(name: string, text: string): void {
  save(name, new Blob([text], { type: 'text/plain' }))
}

/** Resolves when the whole file has arrived. Rejects with ApiProblem or HubAway. */
export async function saveFrom(path: string): Promise<void> {
  const token = await freshToken()
  let answer: Response
  let file: Blob
  try {
    answer = await fetch(API + path, { headers: { Authorization: `Bearer ${token}` } })
    if (!answer.ok) throw await problemOf(answer)
    file = await answer.blob()
  } catch (error) {
    if (error instanceof TypeError) throw new HubAway()
    throw error
  }
  const name = /filename="([^"]+)"/.exec(answer.headers.get('Content-Disposition') ?? '')?.[1]
  save(name ?? 'roost', file)
}

function save(name: string, file: Blob): void {
  const link = document.createElement('a')
  link.href = URL.createObjectURL(file)
  link.download = name
  link.click()
  // Firefox reads it after the click.
  setTimeout(() => URL.revokeObjectURL(link.href), 60_000)
}
