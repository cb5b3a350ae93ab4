SELECT images.id, images.owner, images.name, images.status, images.visibility, images.protected, images.os_hidden, images.min_disk, images.min_ram, images.disk_format, images.container_format, images.size, images.virtual_size, images.checksum, images.os_hash_algo, images.os_hash_value, images.created_at, images.updated_at, images.content_id, images.stores, images.location_references, images.external_url, images.former_owner, images.former_visibility, images.former_status, images.tags, images.properties, sized.promised, sized.found 
FROM images JOIN (SELECT chosen.image_id AS image_id, chosen.promised AS promised, chosen.key_0 AS key_0, chosen.key_1 AS key_1, chosen.key_2 AS key_2, images.details_bytes + length(images.location_references) AS own_bytes, sum(images.details_bytes + length(images.location_references)) OVER (ORDER BY chosen.key_0 ASC, chosen.key_1 DESC, chosen.key_2 DESC ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW) AS total_bytes, count(*) OVER () AS found 
FROM (SELECT candidates.image_id AS image_id, candidates.promised AS promised, candidates.key_0 AS key_0, candidates.key_1 AS key_1, candidates.key_2 AS key_2 
FROM (SELECT anon_1.image_id AS image_id, anon_1.promised AS promised, anon_1.key_0 AS key_0, anon_1.key_1 AS key_1, anon_1.key_2 AS key_2 
FROM (SELECT images.id AS image_id, 0 AS promised, coalesce(images.name, '') AS key_0, images.created_at AS key_1, images.id AS key_2 
FROM images 
WHERE images.owner = %(project)s::VARCHAR AND images.visibility = 'shared' AND images.os_hidden = false AND images.size >= %(condition_0_0)s::BIGINT AND images.status IN (%(condition_1_0)s, %(condition_1_1)s) AND (EXISTS (SELECT image_tags.tag 
FROM image_tags 
WHERE image_tags.image_id = images.id AND image_tags.tag = %(tag_0)s::VARCHAR
 LIMIT ALL OFFSET 0)) AND (EXISTS (SELECT image_tags.tag 
FROM image_tags 
WHERE image_tags.image_id = images.id AND image_tags.tag = %(tag_1)s::VARCHAR
 LIMIT ALL OFFSET 0)) AND (EXISTS (SELECT image_properties.name 
FROM image_properties 
WHERE image_properties.image_id = images.id AND image_properties.name = %(property_0)s::VARCHAR AND image_properties.value = %(property_value_0)s::VARCHAR
 LIMIT ALL OFFSET 0)) AND coalesce(images.name, '') = %(after_0)s::VARCHAR AND (images.created_at, images.id) < (%(after_1)s, %(after_2)s) ORDER BY coalesce(images.name, '') ASC, images.created_at DESC, images.id DESC 
 LIMIT 26) AS anon_1 UNION ALL SELECT anon_2.image_id AS image_id, anon_2.promised AS promised, anon_2.key_0 AS key_0, anon_2.key_1 AS key_1, anon_2.key_2 AS key_2 
FROM (SELECT images.id AS image_id, 0 AS promised, coalesce(images.name, '') AS key_0, images.created_at AS key_1, images.id AS key_2 
FROM images 
WHERE images.owner = %(project)s::VARCHAR AND images.visibility = 'shared' AND images.os_hidden = false AND images.size >= %(condition_0_0)s::BIGINT AND images.status IN (%(condition_1_0)s, %(condition_1_1)s) AND (EXISTS (SELECT image_tags.tag 
FROM image_tags 
WHERE image_tags.image_id = images.id AND image_tags.tag = %(tag_0)s::VARCHAR
 LIMIT ALL OFFSET 0)) AND (EXISTS (SELECT image_tags.tag 
FROM image_tags 
WHERE image_tags.image_id = images.id AND image_tags.tag = %(tag_1)s::VARCHAR
 LIMIT ALL OFFSET 0)) AND (EXISTS (SELECT image_properties.name 
FROM image_properties 
WHERE image_properties.image_id = images.id AND image_properties.name = %(property_0)s::VARCHAR AND image_properties.value = %(property_value_0)s::VARCHAR
 LIMIT ALL OFFSET 0)) AND coalesce(images.name, '') > %(after_0)s::VARCHAR ORDER BY coalesce(images.name, '') ASC, images.created_at DESC, images.id DESC 
 LIMIT 26) AS anon_2 UNION ALL SELECT anon_3.image_id AS image_id, anon_3.promised AS promised, anon_3.key_0 AS key_0, anon_3.key_1 AS key_1, anon_3.key_2 AS key_2 
FROM (SELECT images.id AS image_id, 0 AS promised, coalesce(images.name, '') AS key_0, images.created_at AS key_1, images.id AS key_2 
FROM images 
WHERE images.visibility = 'shared' AND (EXISTS (SELECT members.image_id 
FROM members 
WHERE members.image_id = images.id AND images.visibility = 'shared' AND images.owner IS DISTINCT FROM %(project)s::VARCHAR AND members.member_id = %(project)s::VARCHAR AND members.expires_at > %(now)s::BIGINT AND members.hidden = 0 AND NOT (EXISTS (SELECT endings.image_id 
FROM endings 
WHERE endings.image_id = members.image_id AND endings.member_id = members.member_id AND endings.ends_at > %(now)s::BIGINT
 LIMIT ALL OFFSET 0))
 LIMIT ALL OFFSET 0)) AND images.os_hidden = false AND images.size >= %(condition_0_0)s::BIGINT AND images.status IN (%(condition_1_0)s, %(condition_1_1)s) AND (EXISTS (SELECT image_tags.tag 
FROM image_tags 
WHERE image_tags.image_id = images.id AND image_tags.tag = %(tag_0)s::VARCHAR
 LIMIT ALL OFFSET 0)) AND (EXISTS (SELECT image_tags.tag 
FROM image_tags 
WHERE image_tags.image_id = images.id AND image_tags.tag = %(tag_1)s::VARCHAR
 LIMIT ALL OFFSET 0)) AND (EXISTS (SELECT image_properties.name 
FROM image_properties 
WHERE image_properties.image_id = images.id AND image_properties.name = %(property_0)s::VARCHAR AND image_properties.value = %(property_value_0)s::VARCHAR
 LIMIT ALL OFFSET 0)) AND coalesce(images.name, '') = %(after_0)s::VARCHAR AND (images.created_at, images.id) < (%(after_1)s, %(after_2)s) ORDER BY coalesce(images.name, '') ASC, images.created_at DESC, images.id DESC 
 LIMIT 26) AS anon_3 UNION ALL SELECT anon_4.image_id AS image_id, anon_4.promised AS promised, anon_4.key_0 AS key_0, anon_4.key_1 AS key_1, anon_4.key_2 AS key_2 
FROM (SELECT images.id AS image_id, 0 AS promised, coalesce(images.name, '') AS key_0, images.created_at AS key_1, images.id AS key_2 
FROM images 
WHERE images.visibility = 'shared' AND (EXISTS (SELECT members.image_id 
FROM members 
WHERE members.image_id = images.id AND images.visibility = 'shared' AND images.owner IS DISTINCT FROM %(project)s::VARCHAR AND members.member_id = %(project)s::VARCHAR AND members.expires_at > %(now)s::BIGINT AND members.hidden = 0 AND NOT (EXISTS (SELECT endings.image_id 
FROM endings 
WHERE endings.image_id = members.image_id AND endings.member_id = members.member_id AND endings.ends_at > %(now)s::BIGINT
 LIMIT ALL OFFSET 0))
 LIMIT ALL OFFSET 0)) AND images.os_hidden = false AND images.size >= %(condition_0_0)s::BIGINT AND images.status IN (%(condition_1_0)s, %(condition_1_1)s) AND (EXISTS (SELECT image_tags.tag 
FROM image_tags 
WHERE image_tags.image_id = images.id AND image_tags.tag = %(tag_0)s::VARCHAR
 LIMIT ALL OFFSET 0)) AND (EXISTS (SELECT image_tags.tag 
FROM image_tags 
WHERE image_tags.image_id = images.id AND image_tags.tag = %(tag_1)s::VARCHAR
 LIMIT ALL OFFSET 0)) AND (EXISTS (SELECT image_properties.name 
FROM image_properties 
WHERE image_properties.image_id = images.id AND image_properties.name = %(property_0)s::VARCHAR AND image_properties.value = %(property_value_0)s::VARCHAR
 LIMIT ALL OFFSET 0)) AND coalesce(images.name, '') > %(after_0)s::VARCHAR ORDER BY coalesce(images.name, '') ASC, images.created_at DESC, images.id DESC 
 LIMIT 26) AS anon_4 UNION ALL SELECT anon_5.image_id AS image_id, anon_5.promised AS promised, anon_5.key_0 AS key_0, anon_5.key_1 AS key_1, anon_5.key_2 AS key_2 
FROM (SELECT images.id AS image_id, 1 AS promised, coalesce(images.name, '') AS key_0, endings.image_created_at AS key_1, endings.image_id AS key_2 
FROM images JOIN endings ON endings.image_id = images.id 
WHERE endings.member_id = %(project)s::VARCHAR AND endings.ends_at > %(now)s::BIGINT AND images.owner IS DISTINCT FROM %(project)s::VARCHAR AND (images.visibility = 'shared' OR images.visibility = 'private') AND images.os_hidden = false AND images.size >= %(condition_0_0)s::BIGINT AND CASE WHEN (images.status = %(status_1)s::VARCHAR) THEN 'active' ELSE images.status END IN (%(condition_1_0)s, %(condition_1_1)s) AND (EXISTS (SELECT image_tags.tag 
FROM image_tags 
WHERE image_tags.image_id = images.id AND image_tags.tag = %(tag_0)s::VARCHAR
 LIMIT ALL OFFSET 0)) AND (EXISTS (SELECT image_tags.tag 
FROM image_tags 
WHERE image_tags.image_id = images.id AND image_tags.tag = %(tag_1)s::VARCHAR
 LIMIT ALL OFFSET 0)) AND (EXISTS (SELECT image_properties.name 
FROM image_properties 
WHERE image_properties.image_id = images.id AND image_properties.name = %(property_0)s::VARCHAR AND image_properties.value = %(property_value_0)s::VARCHAR
 LIMIT ALL OFFSET 0)) AND coalesce(images.name, '') = %(after_0)s::VARCHAR AND (endings.image_created_at, endings.image_id) < (%(after_1)s, %(after_2)s) ORDER BY coalesce(images.name, '') ASC, endings.image_created_at DESC, endings.image_id DESC 
 LIMIT 26) AS anon_5 UNION ALL SELECT anon_6.image_id AS image_id, anon_6.promised AS promised, anon_6.key_0 AS key_0, anon_6.key_1 AS key_1, anon_6.key_2 AS key_2 
FROM (SELECT images.id AS image_id, 1 AS promised, coalesce(images.name, '') AS key_0, endings.image_created_at AS key_1, endings.image_id AS key_2 
FROM images JOIN endings ON endings.image_id = images.id 
WHERE endings.member_id = %(project)s::VARCHAR AND endings.ends_at > %(now)s::BIGINT AND images.owner IS DISTINCT FROM %(project)s::VARCHAR AND (images.visibility = 'shared' OR images.visibility = 'private') AND images.os_hidden = false AND images.size >= %(condition_0_0)s::BIGINT AND CASE WHEN (images.status = %(status_1)s::VARCHAR) THEN 'active' ELSE images.status END IN (%(condition_1_0)s, %(condition_1_1)s) AND (EXISTS (SELECT image_tags.tag 
FROM image_tags 
WHERE image_tags.image_id = images.id AND image_tags.tag = %(tag_0)s::VARCHAR
 LIMIT ALL OFFSET 0)) AND (EXISTS (SELECT image_tags.tag 
FROM image_tags 
WHERE image_tags.image_id = images.id AND image_tags.tag = %(tag_1)s::VARCHAR
 LIMIT ALL OFFSET 0)) AND (EXISTS (SELECT image_properties.name 
FROM image_properties 
WHERE image_properties.image_id = images.id AND image_properties.name = %(property_0)s::VARCHAR AND image_properties.value = %(property_value_0)s::VARCHAR
 LIMIT ALL OFFSET 0)) AND coalesce(images.name, '') > %(after_0)s::VARCHAR ORDER BY coalesce(images.name, '') ASC, endings.image_created_at DESC, endings.image_id DESC 
 LIMIT 26) AS anon_6) AS candidates ORDER BY candidates.key_0 ASC, candidates.key_1 DESC, candidates.key_2 DESC 
 LIMIT %(rows)s) AS chosen JOIN images ON images.id = chosen.image_id) AS sized ON sized.image_id = images.id 
WHERE sized.total_bytes <= %(most_bytes)s::BIGINT OR sized.total_bytes = sized.own_bytes ORDER BY sized.key_0 ASC, sized.key_1 DESC, sized.key_2 DESC
