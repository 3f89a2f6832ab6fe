/**
 * Passkeys in this browser: from the hub's JSON to what the browser asks for, and from its answer back to JSON.
 * Newer browsers bring both conversions along; these serve the others, too.
 */
import { openClient, client } from '@/api/client'
import { signInWithPasskey } from '@/api/session'

type Json = Record<string, unknown>

/** Why no passkey came of it, in words for the person at the browser. */
export class PasskeyFailed extends Error {}

/** Only pages that came over HTTPS, or from this very machine, may ask for passkeys. */
export function browserHasPasskeys(): boolean {
  return window.isSecureContext && 'PublicKeyCredential' in window
}

export async function addPasskey(name: string): Promise<void> {
  const { data } = await client.POST('/api/v1/auth/passkeys/options', {})
  const publicKey = creationOptions(data!.public_key)
  const credential = await asked(() => navigator.credentials.create({ publicKey }))
  const response = credential.response as AuthenticatorAttestationResponse
  const answer = {
    clientDataJSON: encode(response.clientDataJSON),
    attestationObject: encode(response.attestationObject),
    transports: response.getTransports?.() ?? [],
  }
  await client.POST('/api/v1/auth/passkeys', { body: { name, credential: written(credential, answer) } })
}

export async function signInByPasskey(): Promise<void> {
  const { data } = await openClient.POST('/api/v1/auth/login/passkey/options', {})
  const publicKey = requestOptions(data!.public_key)
  const credential = await asked(() => navigator.credentials.get({ publicKey }))
  const response = credential.response as AuthenticatorAssertionResponse
  const answer = {
    clientDataJSON: encode(response.clientDataJSON),
    authenticatorData: encode(response.authenticatorData),
    signature: encode(response.signature),
    userHandle: response.userHandle ? encode(response.userHandle) : null,
  }
  await signInWithPasskey(written(credential, answer))
}

async function asked(ask: () => Promise<Credential | null>): Promise<PublicKeyCredential> {
  try {
    const credential = await ask()
    if (credential instanceof PublicKeyCredential) return credential
  } catch (error) {
    throw new PasskeyFailed(reason(error))
  }
  throw new PasskeyFailed('The browser gave no passkey. Try again.')
}

function reason(error: unknown): string {
  const name = error instanceof DOMException ? error.name : ''
  if (name === 'InvalidStateError') return 'There is a passkey for your account on this device already.'
  if (name === 'SecurityError') return 'The browser does not allow passkeys at this address. Open the hub by its name, over HTTPS.'
  if (name === 'NotAllowedError') return 'No passkey was used: the browser was told to stop, or nothing happened for too long.'
  return 'The browser could not use a passkey here.'
}

function written(credential: PublicKeyCredential, response: Json): Json {
  return {
    id: credential.id,
    rawId: encode(credential.rawId),
    type: credential.type,
    response,
    clientExtensionResults: credential.getClientExtensionResults(),
    authenticatorAttachment: credential.authenticatorAttachment ?? null,
  }
}

function creationOptions(json: Json): PublicKeyCredentialCreationOptions {
  const user = json.user as Json
  return {
    ...json,
    challenge: decode(json.challenge),
    user: { ...user, id: decode(user.id) },
    excludeCredentials: described(json.excludeCredentials),
  } as PublicKeyCredentialCreationOptions
}

function requestOptions(json: Json): PublicKeyCredentialRequestOptions {
  return {
    ...json,
    challenge: decode(json.challenge),
    allowCredentials: described(json.allowCredentials),
  } as PublicKeyCredentialRequestOptions
}

function described(list: unknown): PublicKeyCredentialDescriptor[] {
  return ((list ?? []) as Json[]).map((one) => ({ ...one, id: decode(one.id) }) as PublicKeyCredentialDescriptor)
}

/** Base64 as addresses carry it, which is how WebAuthn writes bytes. */
export function encode(bytes: ArrayBuffer): string {
  const text = btoa(String.fromCharCode(...new Uint8Array(bytes)))
  return text.replaceAll('+', '-').replaceAll('/', '_').replace(/=+$/, '')
}

export function decode(text: unknown): ArrayBuffer {
  const plain = atob(String(text).replaceAll('-', '+').replaceAll('_', '/'))
  return Uint8Array.from(plain, (letter) => letter.charCodeAt(0)).buffer
}
