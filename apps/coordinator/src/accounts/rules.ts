// What an admin's address and password must be. Knows no library and no database.

/** Stands in for the address until the admin chooses one; `.invalid` is reserved and can never receive anything. */
export const PROVISIONAL_EMAIL = "admin@weft.invalid";
/** Of the session cookie's name. */
export const COOKIE_PREFIX = "weft";
export const MIN_PASSWORD_CHARACTERS = 10;
export const MAX_PASSWORD_CHARACTERS = 128;
