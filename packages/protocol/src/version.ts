// The wire protocol's version. Raised when a message of an older page would be misread; a page that is behind is told to reload.
export const PROTOCOL_VERSION = 1;
