import type { Secret } from '../kernel/redact.ts';

/** What a system under test is and how to reach it, after all layers of configuration are merged. */
export interface Target {
  readonly name: string;
  readonly kind: 'embedded' | 'supabase';
  readonly supabaseUrl: string;
  /** Legacy anon JWT or `sb_publishable_…`. */
  readonly anonKey: Secret;
  /** Legacy service-role JWT or `sb_secret_…`. */
  readonly serviceRoleKey: Secret | undefined;
  /** HS256 secret to mint synthetic users with. */
  readonly jwtSecret: Secret | undefined;
  /** Private key (PEM or JWK) of a project that signs its JWTs asymmetrically, to mint synthetic users with. */
  readonly jwtSigningKey?: Secret | undefined;
  readonly databaseUrl: Secret | undefined;
  readonly livekit: LiveKitTarget | undefined;
  readonly hls: { readonly url: string } | undefined;
  readonly tokenEndpoint: string | undefined;
  readonly limits: TargetLimits | undefined;
}

/** A LiveKit server and what its admin API is called with. */
export interface LiveKitTarget {
  /** LiveKit's own address, for whoever administers it. */
  readonly url: string;
  readonly apiKey: string;
  readonly apiSecret: Secret;
  /** The gate in front of it, which is the address that clients are given; undefined where there is none. */
  readonly gateUrl?: string | undefined;
}

/** What a run may do to a target that is not on this machine. */
export interface TargetLimits {
  /** Operations per second of any probe. */
  readonly maxRate: number;
  readonly maxUsers: number;
  readonly chaos: boolean;
}
