/** An answer of GoTrue's error form. Codes: https://supabase.com/docs/guides/auth/debugging/error-codes */
export class AuthError extends Error {
  override readonly name = 'AuthError';
  readonly status: number;
  readonly code: string;
  readonly more: Readonly<Record<string, unknown>>;

  constructor(status: number, code: string, message: string, more: Record<string, unknown> = {}) {
    super(message);
    this.status = status;
    this.code = code;
    this.more = more;
  }

  /** Clients that announce API version 2024-01-01 get `{code, message}`, older ones the form before it. */
  body(isCurrent: boolean): Record<string, unknown> {
    return isCurrent
      ? { code: this.code, message: this.message, ...this.more }
      : { code: this.status, error_code: this.code, msg: this.message, ...this.more };
  }
}

export function invalid(message: string): AuthError {
  return new AuthError(400, 'validation_failed', message);
}

export function emailExists(): AuthError {
  return new AuthError(422, 'email_exists', 'A user with this email address has already been registered');
}

export function userNotFound(): AuthError {
  return new AuthError(404, 'user_not_found', 'User not found');
}
