export const MODULES: readonly { readonly entry: string; readonly file: string; readonly shared: boolean }[];
export function compile(module: { readonly entry: string; readonly shared: boolean }): Promise<Buffer>;
