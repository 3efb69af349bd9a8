export const page = { title: 'admin', content: async () => '' };
