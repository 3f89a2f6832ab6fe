/** A socket that comes back by itself: signs in with the first frame, waits longer after every failure. */
import { API, hubIsAway, onReturn } from '@/api/hub'
import { freshToken, onToken, session } from '@/api/session'

const FIRST_WAIT_MS = 500
const LONGEST_WAIT_MS = 15_000
const PING_EVERY_MS = 25_000

export interface Handlers<Frame> {
  frame: (frame: Frame) => void
  /** The socket is signed in; `again` when it was before, so that something may have been missed. */
  ready?: (again: boolean) => void
  lost?: () => void
}

export class LiveSocket<Frame extends { type: string }> {
  private socket: WebSocket | null = null
  private closed = false
  private wasReady = false
  private wait = FIRST_WAIT_MS
  private timer: ReturnType<typeof setTimeout> | undefined
  private pinger: ReturnType<typeof setInterval> | undefined
  private isReady = false
  private readonly endings: (() => void)[]

  constructor(
    private readonly path: string,
    private readonly handlers: Handlers<Frame>,
  ) {
    this.endings = [
      onReturn(() => {
        this.wait = FIRST_WAIT_MS
        if (!this.socket) void this.connect()
      }),
      // The hub closes a socket whose token runs out, so the next one is handed in before.
      onToken((token) => {
        if (this.isReady) this.authenticate(token)
      }),
    ]
    void this.connect()
  }

  close(): void {
    this.closed = true
    for (const end of this.endings) end()
    clearTimeout(this.timer)
    clearInterval(this.pinger)
    const { socket } = this
    if (!socket) return
    socket.onmessage = null
    // Closed while it opens, the browser would write an error into the console.
    if (socket.readyState === WebSocket.CONNECTING) socket.onopen = () => socket.close(1000)
    else socket.close(1000)
  }

  private async connect(): Promise<void> {
    clearTimeout(this.timer)
    let token: string | null = null
    try {
      token = await freshToken()
    } catch {
      this.later()
      return
    }
    if (this.closed || this.socket || !token) return
    const address = new URL(API + this.path, location.href)
    address.protocol = address.protocol.replace('http', 'ws')
    const socket = new WebSocket(address)
    this.socket = socket
    socket.onopen = () => this.authenticate(token)
    socket.onmessage = (event) => this.receive(String(event.data))
    socket.onclose = () => this.lost()
  }

  private authenticate(token: string): void {
    this.socket?.send(JSON.stringify({ type: 'authenticate', token }))
  }

  private receive(text: string): void {
    const frame = JSON.parse(text) as Frame
    if (frame.type === 'ready') {
      this.wait = FIRST_WAIT_MS
      this.isReady = true
      this.handlers.ready?.(this.wasReady)
      this.wasReady = true
      clearInterval(this.pinger)
      this.pinger = setInterval(() => this.socket?.send('{"type":"ping"}'), PING_EVERY_MS)
    } else if (frame.type === 'ping') {
      this.socket?.send('{"type":"pong"}')
    } else {
      this.handlers.frame(frame)
    }
  }

  private lost(): void {
    this.socket = null
    this.isReady = false
    clearInterval(this.pinger)
    if (this.closed) return
    this.handlers.lost?.()
    // Asks once whether the hub itself is gone, so that the banner appears without waiting for the next request.
    fetch(`${API}/health`, { cache: 'no-store' }).catch(() => hubIsAway())
    this.later()
  }

  private later(): void {
    if (this.closed || session.state !== 'signed-in') return
    clearTimeout(this.timer)
    this.timer = setTimeout(() => void this.connect(), this.wait * (0.75 + Math.random() / 2))
    this.wait = Math.min(this.wait * 2, LONGEST_WAIT_MS)
  }
}
