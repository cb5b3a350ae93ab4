SELECT members.image_id, members.member_id, members.status, members.created_at, members.updated_at, members.notice_seconds, members.expires_at, members.message, members.answered_at, members.hidden, members.offered_from 
FROM members 
WHERE members.image_id = %(image_id)s AND members.expires_at > %(now)s AND (members.member_id = %(project)s AND members.hidden = 0 OR (EXISTS (SELECT images.id 
FROM images 
WHERE images.id = members.image_id AND images.owner = %(project)s))) ORDER BY members.created_at, members.member_id
