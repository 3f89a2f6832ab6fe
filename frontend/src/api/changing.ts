/** A change through the API: what it may have altered is asked again, and a refusal says itself at the screen's edge. */
import { useMutation, useQueryClient } from '@tanstack/vue-query'
import { useRouter } from 'vue-router'
import { toast } from '@/ui/toasts'
import { ApiProblem, sentenceOf } from './problems'

interface Options {
  /** The first parts of the query keys that hold what changed. */
  touches: readonly string[]
  /** Whether the form shows refusals of its fields (422) itself. */
  fields?: boolean
  /** Whether what the page shows is gone: then it is not asked again before `useWayOut` has left the page. */
  gone?: boolean
}

export function useChange<In, Out>(change: (input: In) => Promise<Out>, { touches, fields = false, gone = false }: Options) {
  const queries = useQueryClient()
  return useMutation({
    mutationFn: change,
    onSuccess: () =>
      Promise.all(touches.map((key) => queries.invalidateQueries({ queryKey: [key], refetchType: gone ? 'none' : 'active' }))),
    onError: (error) => {
      if (!(fields && hasFields(error))) toast.bad(sentenceOf(error))
    },
  })
}

/** Leaves the page of what is gone, says so, and asks again for what is still on the screen. */
export function useWayOut() {
  const queries = useQueryClient()
  const router = useRouter()
  return async (to: string, sentence: string): Promise<void> => {
    await router.push(to)
    toast.good(sentence)
    await queries.refetchQueries({ type: 'active', stale: true })
  }
}

export function hasFields(error: unknown): boolean {
  return error instanceof ApiProblem && Object.keys(error.fields).length > 0
}

export function fieldsOf(error: unknown): Record<string, string> {
  return error instanceof ApiProblem ? error.fields : {}
}
