/** What the account pages and the sign-in page ask, and what they change. */
import { useMutation, useQuery, useQueryClient } from '@tanstack/vue-query'
import { client, openClient } from '@/api/client'
import { loadMe } from '@/api/session'
import type { components } from '@/api/schema'

type Schemas = components['schemas']
export type ApiToken = Schemas['ApiTokenRead']
export type NewApiToken = Schemas['ApiTokenCreate']
export type Session = Schemas['SessionRead']
export type Passkey = Schemas['PasskeyRead']
export type Proof = { password: string } | { code: string }

const MOST = 500

/** What signing in here can be done with; the same for everybody. */
export function useSignInWays() {
  return useQuery({
    queryKey: ['sign-in-ways'],
    queryFn: async ({ signal }) => (await openClient.GET('/api/v1/auth/providers', { signal })).data!,
    staleTime: Infinity,
  })
}

export function useProfileChange() {
  return useMutation({
    mutationFn: async (body: Schemas['ProfileUpdate']) => {
      await client.PATCH('/api/v1/users/me', { body })
      await loadMe()
    },
  })
}

export function usePasswordChange() {
  const queries = useQueryClient()
  return useMutation({
    mutationFn: async (body: Schemas['PasswordChange']) => (await client.POST('/api/v1/auth/password', { body })).data!,
    onSuccess: async () => {
      await Promise.all([queries.invalidateQueries({ queryKey: ['sessions'] }), loadMe()])
    },
  })
}

export function useTotp() {
  const queries = useQueryClient()
  const again = () => queries.invalidateQueries({ queryKey: ['totp'] })
  const status = useQuery({
    queryKey: ['totp'],
    queryFn: async ({ signal }) => (await client.GET('/api/v1/auth/totp', { signal })).data!,
  })
  const setUp = useMutation({ mutationFn: async () => (await client.POST('/api/v1/auth/totp/setup', {})).data! })
  const confirm = useMutation({
    mutationFn: async (code: string) => (await client.POST('/api/v1/auth/totp/confirm', { body: { code } })).data!.recovery_codes,
    onSuccess: again,
  })
  const renew = useMutation({
    mutationFn: async (body: Proof) => (await client.POST('/api/v1/auth/totp/recovery-codes', { body })).data!.recovery_codes,
    onSuccess: again,
  })
  const remove = useMutation({
    mutationFn: async (body: Proof) => {
      await client.DELETE('/api/v1/auth/totp', { body })
    },
    onSuccess: again,
  })
  return { status, setUp, confirm, renew, remove }
}

export function usePasskeys() {
  return useQuery({
    queryKey: ['passkeys'],
    queryFn: async ({ signal }) => (await client.GET('/api/v1/auth/passkeys', { params: { query: { limit: MOST } }, signal })).data!,
  })
}

export function usePasskeyRemoval() {
  return useRemoval(['passkeys'], (passkey_id: number) => client.DELETE('/api/v1/auth/passkeys/{passkey_id}', { params: { path: { passkey_id } } }))
}

/** Accounts elsewhere with which this user signs in. */
export function useIdentities() {
  return useQuery({
    queryKey: ['identities'],
    queryFn: async ({ signal }) =>
      (await client.GET('/api/v1/auth/external-identities', { params: { query: { limit: MOST } }, signal })).data!,
  })
}

export function useIdentityRemoval() {
  return useRemoval(['identities'], (identity_id: number) =>
    client.DELETE('/api/v1/auth/external-identities/{identity_id}', { params: { path: { identity_id } } }),
  )
}

/** Resolves to the address of the provider's page. */
export async function startLink(): Promise<string> {
  return (await client.POST('/api/v1/auth/oidc/link', {})).data!.url
}

export function useApiTokens() {
  return useQuery({
    queryKey: ['api-tokens'],
    queryFn: async ({ signal }) => (await client.GET('/api/v1/auth/api-tokens', { params: { query: { limit: MOST } }, signal })).data!,
  })
}

export function useApiTokenCreation() {
  const queries = useQueryClient()
  return useMutation({
    mutationFn: async (body: NewApiToken) => (await client.POST('/api/v1/auth/api-tokens', { body })).data!,
    onSuccess: () => queries.invalidateQueries({ queryKey: ['api-tokens'] }),
    // The secret in it shall not outlive the dialog.
    gcTime: 0,
  })
}

export function useApiTokenRevocation() {
  return useRemoval(['api-tokens'], (token_id: number) => client.DELETE('/api/v1/auth/api-tokens/{token_id}', { params: { path: { token_id } } }))
}

export function useSessions() {
  return useQuery({
    queryKey: ['sessions'],
    queryFn: async ({ signal }) => (await client.GET('/api/v1/auth/sessions', { params: { query: { limit: MOST } }, signal })).data!,
  })
}

export function useSessionEnd() {
  return useRemoval(['sessions'], (session_id: number) => client.DELETE('/api/v1/auth/sessions/{session_id}', { params: { path: { session_id } } }))
}

export function useOtherSessionsEnd() {
  const queries = useQueryClient()
  return useMutation({
    mutationFn: async () => (await client.POST('/api/v1/auth/sessions/end-others', {})).data!.ended,
    onSuccess: () => queries.invalidateQueries({ queryKey: ['sessions'] }),
  })
}

function useRemoval(queryKey: string[], remove: (id: number) => Promise<unknown>) {
  const queries = useQueryClient()
  return useMutation({
    mutationFn: async (id: number) => {
      await remove(id)
    },
    onSettled: () => queries.invalidateQueries({ queryKey }),
  })
}
