export const page = { title: 'traces', content: async () => '' };
