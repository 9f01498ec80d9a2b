/** Who sits at this page: the key of this browser and the session of the fleet. */
import { type Accessor, createSignal } from "solid-js";
import { type Problem, parseSession, type Session } from "../core/model";
import { ownProblem } from "../core/problem";
import { type Api, createApi } from "../io/api";
import type { Backend } from "../io/backend";
import { type Identity, loadIdentity } from "../io/keys";
import { createEvents, type Events } from "./events";

const SLOT = "longrein.session";
/** A session that ends sooner than this is renewed before it is used. */
const MARGIN_MS = 60_000;

export interface AppState {
  readonly backend: Backend;
  readonly api: Api;
  readonly events: Events;
  /** Undefined while the key is being looked up. */
  readonly identity: Accessor<Identity | null | undefined>;
  readonly session: Accessor<Session | null>;
  /** Why signing in did not work. */
  readonly problem: Accessor<Problem | null>;
  readonly signIn: () => Promise<boolean>;
  readonly adopt: (identity: Identity, session: Session | null) => void;
  readonly signOut: () => void;
}

function storedSession(did: string): Session | null {
  try {
    const session = parseSession(JSON.parse(sessionStorage.getItem(SLOT) ?? "null"));
    const fresh = session !== null && session.claims.expiresAtMs - MARGIN_MS > Date.now();
    return fresh && session.claims.did === did ? session : null;
  } catch {
    return null;
  }
}

export function createAppState(backend: Backend): AppState {
  const [identity, setIdentity] = createSignal<Identity | null | undefined>(undefined);
  const [session, setSession] = createSignal<Session | null>(null);
  const [problem, setProblem] = createSignal<Problem | null>(null);

  const keep = (value: Session | null) => {
    if (value === null) sessionStorage.removeItem(SLOT);
    else {
      const { did, role, name, expiresAtMs } = value.claims;
      const claims = { did, role, name, expires_at: expiresAtMs };
      sessionStorage.setItem(SLOT, JSON.stringify({ token: value.token, claims }));
    }
    setSession(value);
  };

  let signingIn: Promise<boolean> | null = null;
  const signIn = (): Promise<boolean> => {
    signingIn ??= (async () => {
      const me = identity();
      if (!me) return false;
      const result = await api.signIn(me);
      setProblem(result.ok ? null : result.problem);
      if (result.ok) keep(result.value);
      return result.ok;
    })().finally(() => {
      signingIn = null;
    });
    return signingIn;
  };

  const token = () => session()?.token ?? null;
  const api = createApi(backend, { token, refresh: signIn });

  const start = async () => {
    const found = await loadIdentity();
    if (found !== null) setSession(storedSession(found.did));
    setIdentity(found);
    if (found !== null && session() === null) await signIn();
  };
  start().catch((error: unknown) => {
    console.error(error);
    setIdentity(null);
    setProblem(ownProblem("no-key-store"));
  });

  return {
    backend,
    api,
    events: createEvents(backend, token),
    identity,
    session,
    problem,
    signIn,
    adopt: (me, value) => {
      setIdentity(me);
      setProblem(null);
      keep(value);
    },
    signOut: () => {
      keep(null);
      setIdentity(null);
    },
  };
}
