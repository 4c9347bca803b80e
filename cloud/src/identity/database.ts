/** What identity needs of the store: a `pg` pool has it. */
export interface IdentityDatabase {
	query<Row extends object>(text: string, values?: readonly unknown[]): Promise<{ rows: Row[]; rowCount: number }>;
}
